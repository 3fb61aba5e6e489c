"""How accuracy depends on the length of training, from the committed runs: a table, and a figure.

python benchmarks/draw_lengths.py
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import fire
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from side_by_side_differences import MEASURE, PAIR
from side_by_side_differences import read_runs as read_longer_runs

RUNS = Path(__file__).with_name("results") / "lengths.csv"
OUT = Path(__file__).with_name("figures") / "lengths.png"
SETS = {"brain_mri": "brain MRI", "chest_xray": "chest X-ray"}


@dataclass(frozen=True)
class Curve:
    """The methods of ``side_by_side.py`` that are one method of several lengths, and how many networks each trains."""

    title: str
    methods: tuple[str, ...]
    networks: int = 1


CURVES = (
    Curve("selection", ("main", "first_start", "selection")),
    Curve("two students", ("both", "both_longer"), 2),
    Curve("twins", ("twins",), 2),
    Curve("teacher", ("teacher",)),
)


def read_runs(file: str | Path = RUNS) -> pd.DataFrame:
    """The runs of all lengths: those of ``file``, and those of the same sets, folds and seeds of other tables."""
    runs = pd.read_csv(file)
    others = read_longer_runs()
    pairs = runs[PAIR].drop_duplicates()
    return pd.concat([runs, others.merge(pairs, on=PAIR)])


def points(runs: pd.DataFrame, curve: Curve) -> pd.DataFrame:
    """Of each set and length, the steps of one network: mean, its standard error, deviation between runs, and pairs."""
    own = runs[runs["method"].isin(curve.methods)].assign(length=lambda table: table["steps"] // curve.networks)
    rows = []
    for (name, length), part in own.groupby(["set", "length"]):
        of_pairs = part.groupby(PAIR)[MEASURE].mean()
        row = {
            "mean": of_pairs.mean(),
            "error": of_pairs.sem(),
            "deviation": part[MEASURE].std(),
            "pairs": len(of_pairs),
        }
        rows.append({"set": name, "length": length, **row})
    return pd.DataFrame(rows).set_index(["set", "length"])


def markdown(found: Mapping[str, pd.DataFrame]) -> str:
    """Mean (standard deviation between runs) of each length and curve."""
    lines = [f"| set | steps of a network | {' | '.join(found)} |", "|---|---|" + "---|" * len(found)]
    for name, title in SETS.items():
        for length in sorted({length for table in found.values() for of, length in table.index if of == name}):
            cells = [_cell(table, name, length) for table in found.values()]
            lines.append(f"| {title} | {length:,} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(table: pd.DataFrame, name: str, length: int) -> str:
    if (name, length) not in table.index:
        return ""
    row = table.loc[(name, length)]
    return f"{row['mean']:.3f} ({row['deviation']:.3f})"


def draw(axes: Axes, found: Mapping[str, pd.DataFrame], name: str) -> None:
    """Accuracy against the steps of one network, with standard errors over pairs."""
    for number, (title, table) in enumerate(found.items()):
        own = table.loc[name]
        beside = own.index * 1.03 ** (number - 1.5)
        axes.errorbar(beside, own["mean"], own["error"], fmt="o-", capsize=3, color=f"C{number}", label=title)
    lengths = sorted({length for table in found.values() for length in table.loc[name].index})
    axes.set_xscale("log")
    axes.set_xticks(lengths, [f"{length:,}" for length in lengths], fontsize=8)
    axes.minorticks_off()
    axes.set_title(SETS[name], fontsize=10)
    axes.set_xlabel("steps of a network")


def main(results: str = str(RUNS), figure_file: str = str(OUT)) -> None:
    """Print the table, and draw the figure.

    Args:
        results: of trainings of further lengths.
        figure_file: where the figure is written.
    """
    runs = read_runs(results)
    found = {curve.title: points(runs, curve) for curve in CURVES}
    print(markdown(found))
    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, name in zip(np.ravel(figure.subplots(1, len(SETS), sharey=True)), SETS):
        draw(axes, found, name)
    figure.axes[0].set_ylabel("balanced accuracy on test images")
    figure.axes[0].legend(frameon=False)
    figure.savefig(figure_file, dpi=150)


if __name__ == "__main__":
    fire.Fire(main)
