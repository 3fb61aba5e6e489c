"""The figure of the README: how far small students are behind the fine-tuned teacher, from the committed results.

python benchmarks/draw_parameters.py
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from side_by_side_differences import MEASURE, PAIR
from side_by_side_differences import read_runs as read_longer_runs

from dwskd_monai.commands.compare.statistics import Estimate, differences, estimate

RESULTS = Path(__file__).with_name("results")
OUT = Path(__file__).with_name("figures") / "accuracy_by_parameters.png"
SETS = ("brain_mri", "chest_xray", "lung_ct")
TEACHER = "teacher"
LABELS = {
    "mutual_scratch": "two students, random weights",
    "selection": "one student, selected weights",
    "dws_skd_mutual": "DWS-SKD",
    "three_quarters_wide": "DWS-SKD, wider student",
    "soft_labels": "two students label further images",
    "teacher_soft_labels": "the teacher labels further images",
}
PANELS = {
    "imagenet": "53 to 85 training images",
    "longer": "the same, longer trainings, and\nfurther images without labels",
    "imagenet_long": "212 to 849 training images",
}
# moved aside: these students have the same size
BESIDE = {"mutual_scratch": 0.94, "dws_skd_mutual": 1.06, "soft_labels": 1.06, "teacher_soft_labels": 1.12}
FAILED = 0.6  # one training of the teacher failed, with a balanced accuracy below this; RESULTS.md has it too


def differences_from_teacher(runs: pd.DataFrame, method: str) -> list[float]:
    """A method minus the fine-tuned teacher, in points, for each set, fraction, fold and seed that both have."""
    values: list[float] = []
    for _, of_set in runs.groupby("set"):
        values += [100 * float(value) for value in differences(of_set, method, TEACHER, MEASURE)]
    return values


def read_runs(name: str) -> pd.DataFrame:
    """The runs of all sets, without the failed one."""
    if name == "longer":
        return longer_runs()
    tables = [pd.read_csv(RESULTS / f"{name}_{one}.csv").assign(set=one) for one in SETS]
    runs = pd.concat(tables)
    return runs[~((runs["method"] == TEACHER) & (runs["balanced_accuracy"] < FAILED))]


def longer_runs() -> pd.DataFrame:
    """One row for each method and pair of ``side_by_side.py``, the mean of its runs, with the sizes of the others."""
    runs = read_longer_runs()
    runs = runs[runs["set"].isin(SETS)].groupby(["method", *PAIR])[MEASURE].mean().reset_index()
    others = read_runs("imagenet")
    sizes = {kind: others.loc[others["method"] == kind, "parameters"].mean() for kind in (TEACHER, "selection")}
    is_teacher = runs["method"] == TEACHER
    return runs.assign(fraction=0.0, parameters=np.where(is_teacher, sizes[TEACHER], sizes["selection"]))


def draw_panel(axes: Axes, runs: pd.DataFrame, title: str) -> None:
    """One point per method, with the 95 % interval of its mean difference."""
    size = runs.loc[runs["method"] == TEACHER, "parameters"].mean() / 1e6
    axes.axhline(0, color="0.6", linewidth=1)
    axes.plot([size], [0], "s", color="black", label="fine-tuned teacher")
    for number, (method, label) in enumerate(LABELS.items()):
        values = differences_from_teacher(runs, method)
        if len(values) < 2:
            continue
        result: Estimate = estimate(values)
        place = runs.loc[runs["method"] == method, "parameters"].mean() / 1e6 * BESIDE.get(method, 1)
        axes.errorbar([place], [result.mean], [result.half_width], fmt="o", capsize=4, color=f"C{number}", label=label)
    axes.set_xscale("log")
    ticks: Sequence[float] = (1, 2, 5)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    axes.set_xlim(0.75, 6)
    axes.set_xlabel("parameters, millions (equal sizes side by side)", fontsize=9)
    axes.set_title(title, fontsize=10)


def main() -> None:
    figure = Figure(figsize=(10.5, 3.8), layout="constrained")
    for axes, (name, title) in zip(np.ravel(figure.subplots(1, 3)), PANELS.items()):
        draw_panel(axes, read_runs(name), title)
    figure.axes[0].set_ylabel("balanced accuracy on test images,\npoints relative to the teacher", fontsize=9)
    handles: dict[str, Artist] = {}
    for axes in figure.axes:
        handles |= dict(zip(*reversed(axes.get_legend_handles_labels())))
    figure.legend(list(handles.values()), list(handles), loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    figure.savefig(OUT, dpi=150)


if __name__ == "__main__":
    main()
