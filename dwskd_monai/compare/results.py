"""The table of finished runs: one row each, in the grid's order, whatever order they ended in."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from dwskd_monai.compare.cells import Cell
from dwskd_monai.compare.running import RESULT
from dwskd_monai.files import replacing

RESULTS = "results.csv"
COLUMNS = ("method", "fraction", "fold", "seed")
TIMES = ("training_seconds", "needed_seconds")
_FIRST = (
    "balanced_accuracy",
    "accuracy",
    "macro_auc",
    "macro_f1",
    *TIMES,
    "parameters",
    "epochs",
    "best_epoch",
    "learning_rate",
    "last_epoch_balanced_accuracy",
)


def read_result(out: Path, cell: Cell) -> dict[str, Any] | None:
    """What a finished run left; None where it is not finished."""
    path = out / cell.folder / RESULT
    return json.loads(path.read_text()) if path.is_file() else None


def collect(out: Path, cells: Sequence[Cell], data_hash: str) -> pd.DataFrame:
    """A row for each finished run: what it is, metrics, seconds of training, parameters, epochs, versions, data."""
    rows = []
    for cell in cells:
        result = read_result(out, cell)
        if result is not None:
            identity = dict(zip(COLUMNS, (cell.method.name, cell.fraction, cell.fold, cell.seed)))
            rows.append(identity | {key: value for key, value in result.items() if key != "model"})
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    table["data_hash"] = data_hash
    known = [column for column in (*COLUMNS, *_FIRST) if column in table]
    last = [column for column in ("versions", "data_hash") if column in table]
    return table[[*known, *(column for column in table if column not in (*known, *last)), *last]]


def write_results(table: pd.DataFrame, out: Path) -> None:
    """Write ``results.csv``."""
    with replacing(out / RESULTS) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
