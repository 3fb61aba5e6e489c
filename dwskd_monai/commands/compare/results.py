"""The table of finished runs: a row for each, in an order that does not depend on when they ended."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd

from dwskd_monai.commands.compare.runs import Run
from dwskd_monai.evaluation.metrics import compared_names
from dwskd_monai.files import read_json, replacing

RESULT = "result.json"  # in the folder of a run
RESULTS = "results.csv"
METRICS = compared_names()
TIMES = ("training_seconds", "needed_seconds")
_FIRST = (
    "method",
    "fraction",
    "fold",
    "seed",
    *METRICS,
    *TIMES,
    "parameters",
    "epochs",
    "best_epoch",
    "learning_rate",
    "last_epoch_balanced_accuracy",
)
_LAST = ("versions", "data_hash")


def read_result(out: Path, run: Run) -> dict[str, Any] | None:
    """The result of a finished run; None if it is not finished."""
    path = out / run.folder / RESULT
    return read_json(path) if path.is_file() else None


def collect(out: Path, methods: Iterable[str]) -> pd.DataFrame:
    """A row for each finished run in ``out``, ordered by seed, fold, fraction (the largest first) and method.

    Args:
        out: folder of the results.
        methods: names, in the order of the rows; methods that are not among them come last.
    """
    paths = sorted((out / "runs").rglob(RESULT))
    if not paths:
        return pd.DataFrame()
    table = pd.DataFrame([read_json(path) for path in paths]).drop(columns="model", errors="ignore")
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
