"""The table of finished runs: one row each, in one order, whatever order they ended in."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from dwskd_monai.commands.compare.cells import Cell
from dwskd_monai.commands.compare.running import CELL, METRICS, RESULT
from dwskd_monai.files import replacing

RESULTS = "results.csv"
TIMES = ("training_seconds", "needed_seconds")
_FIRST = (
    *CELL,
    *METRICS,
    *TIMES,
    "parameters",
    "epochs",
    "best_epoch",
    "learning_rate",
    "last_epoch_balanced_accuracy",
)
_LAST = ("versions", "data_hash")


def read_result(out: Path, cell: Cell) -> dict[str, Any] | None:
    """What a finished run left; None where it is not finished."""
    path = out / cell.folder / RESULT
    return json.loads(path.read_text()) if path.is_file() else None


def collect(out: Path, methods: Iterable[str]) -> pd.DataFrame:
    """A row for each run that was ever finished in ``out``: seeds in order, then folds, large fractions and methods.

    Args:
        out: folder of the results.
        methods: names, in the order of the rows; methods that are not among them come last.
    """
    paths = sorted((out / "runs").rglob(RESULT))
    if not paths:
        return pd.DataFrame()
    table = pd.DataFrame([json.loads(path.read_text()) for path in paths]).drop(columns="model", errors="ignore")
    place = {name: index for index, name in enumerate(methods)}
    order = pd.DataFrame(
        {
            "seed": table["seed"],
            "fold": table["fold"],
            "fraction": -table["fraction"],
            "method": table["method"].map(place).fillna(len(place)),
        }
    )
    table = table.loc[order.sort_values(list(order), kind="stable").index].reset_index(drop=True)
    middle = [column for column in table if column not in (*_FIRST, *_LAST)]
    return table[[*(column for column in _FIRST if column in table), *sorted(middle), *_LAST]]


def write_results(table: pd.DataFrame, out: Path) -> None:
    """Write ``results.csv``."""
    with replacing(out / RESULTS) as temporary:
        table.to_csv(temporary, index=False, float_format="%.6g")
