"""What suggested images bring, compared with random ones, from the committed runs: a table, and a figure.

python benchmarks/draw_suggest.py
"""

from __future__ import annotations

from pathlib import Path

import fire
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from side_by_side_differences import MEASURE, table_of

RUNS = Path(__file__).with_name("results") / "suggest.csv"
OUT = Path(__file__).with_name("figures") / "suggest.png"
SETS = {"brain_mri": "brain MRI", "chest_xray": "chest X-ray", "lung_ct": "lung CT"}
WAYS = {"suggest": "suggested", "random": "random"}


def differences(runs: pd.DataFrame, number: int) -> pd.DataFrame:
    """Suggested minus random images after a round, for each set and for all; in pairs of the same fold and seed."""
    return table_of(runs[runs["round"] == number].rename(columns={"way": "method"}), "suggest", "random", MEASURE)


def markdown(runs: pd.DataFrame) -> str:
    """Means of both ways, and their difference."""
    means = runs.groupby(["set", "round", "way"])[MEASURE].mean()
    labels = runs.groupby(["set", "round"])["labels"].mean()
    lines = ["| set | labels | suggested | random | difference | runs |", "|---|---|---|---|---|---|"]
    for number in sorted(set(runs["round"]) - {0}):
        found = differences(runs, number)
        for name, title in SETS.items():
            both = " | ".join(f"{means[name, number, way]:.3f}" for way in WAYS)
            lines.append(f"| {title} | {labels[name, number]:.0f} | {both} | {_shown(found.loc[name])} |")
        lines.append(f"| **all** | | | | {_shown(found.loc['all'])} |")
    return "\n".join(lines)


def _shown(row: pd.Series) -> str:
    return f"{row['difference']:+.3f} ± {row['±']:.3f} | {row['pairs']:.0f}"


def draw(axes: Axes, runs: pd.DataFrame, title: str) -> None:
    """Accuracy against the number of labels, with the standard error of the mean."""
    for number, (way, label) in enumerate(WAYS.items()):
        of_labels = runs[runs["way"] == way].groupby("labels")[MEASURE]
        means, errors = of_labels.mean(), of_labels.sem()
        axes.errorbar(means.index, means, errors, fmt="o-", capsize=4, color=f"C{number}", label=label)
    axes.set_title(title, fontsize=10)
    axes.set_xlabel("labeled images")
    axes.set_xticks(sorted(set(runs["labels"])))


def main(results: str = str(RUNS), figure_file: str = str(OUT)) -> None:
    """Print the table, and draw the figure.

    Args:
        results: that ``suggest_side_by_side.py`` wrote.
        figure_file: where the figure is written.
    """
    runs = pd.read_csv(results)
    print(markdown(runs))
    figure = Figure(figsize=(9, 3.2), layout="constrained")
    for axes, (name, title) in zip(np.ravel(figure.subplots(1, 3, sharey=True)), SETS.items()):
        draw(axes, runs[runs["set"] == name], title)
    figure.axes[0].set_ylabel("balanced accuracy on test images")
    figure.axes[0].legend(frameon=False)
    figure.savefig(figure_file, dpi=150)


if __name__ == "__main__":
    fire.Fire(main)
