"""Figures of a comparison: accuracy against training images, training time and parameters."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib
import pandas as pd
from matplotlib.figure import Figure

from dwskd_monai.commands.compare.results import TIMES
from dwskd_monai.evaluation.metrics import drawn_labels
from dwskd_monai.files import replacing

_MARKERS = "osD^vP*Xhp<>"
Styles = dict[str, dict[str, Any]]  # of a method's line and marker
_AXES = drawn_labels()


def draw(summary: pd.DataFrame, out: Path) -> list[Path]:
    """Write the figures as PNG into ``out/figures``.

    Args:
        summary: the result of :func:`~dwskd_monai.commands.compare.summary.summarize`.
        out: folder of the results.

    Returns:
        The files.
    """
    combined = summary["method"].str.contains("+", regex=False)
    single = summary[~combined]
    styles = methods_styles(list(summary["method"].unique()))
    figures = {f"{metric}_by_fraction": by_fraction(single, metric, styles) for metric in _AXES}
    if combined.any():
        bases = summary.loc[combined, "method"].str.partition("+")[0].unique()
        pairs = summary[combined | summary["method"].isin(bases)]
        figures["both_students_by_fraction"] = by_fraction(pairs, "balanced_accuracy", styles)
    seconds = single.assign(seconds=single[list(TIMES)].sum(axis=1))
    figures["accuracy_by_training_time"] = against(
        seconds, "seconds", "seconds of training, with the run that it needs", styles
    )
    figures["accuracy_by_parameters"] = against(single, "parameters", "parameters of the deployed network", styles)
    paths = []
    for name, figure in figures.items():
        paths.append(out / "figures" / f"{name}.png")
        with replacing(paths[-1]) as temporary:
            figure.savefig(temporary, format="png", dpi=130)
    return paths


def by_fraction(summary: pd.DataFrame, metric: str, styles: Styles) -> Figure:
    """A metric against the share of the training images: for each method, a line with its 95 % band."""
    figure, (axes,) = _figure(1)
    rows = summary[summary["metric"] == metric]
    for method in rows["method"].unique():
        style = styles[method]
        line = rows[rows["method"] == method].sort_values("fraction")
        axes.plot(line["fraction"], line["mean"], label=method, **style)
        axes.fill_between(line["fraction"], line["low"], line["high"], color=style["color"], alpha=0.1, linewidth=0)
    fractions = sorted(rows["fraction"].unique())
    axes.set_xscale("log")
    axes.set_xticks(fractions, [f"{fraction:.3g}" for fraction in fractions])
    axes.minorticks_off()
    axes.set_xlabel("share of the training images")
    axes.set_ylabel(_AXES[metric])
    _limit(axes, rows)
    _legend(figure, axes)
    return figure


def against(summary: pd.DataFrame, column: str, label: str, styles: Styles) -> Figure:
    """Balanced accuracy against a cost: a panel per fraction, and a point with its 95 % interval per method."""
    rows = summary[(summary["metric"] == "balanced_accuracy") & (summary[column] > 0)]
    fractions = sorted(rows["fraction"].unique(), reverse=True)
    figure, panels = _figure(max(1, len(fractions)))
    for axes, fraction in zip(panels, fractions):
        for _, row in rows[rows["fraction"] == fraction].iterrows():
            style: dict[str, Any] = styles[row["method"]] | {"linestyle": "none"}
            error = row["high"] - row["mean"]
            axes.errorbar(row[column], row["mean"], yerr=error, label=row["method"], capsize=2, elinewidth=0.8, **style)
        axes.set_xlim(left=0)
        axes.set_title(f"{fraction:.3g} of the training images", fontsize="medium")
        axes.set_xlabel(label)
    panels[0].set_ylabel("balanced accuracy")
    _limit(panels[0], rows)
    _legend(figure, panels[0])
    return figure


def _figure(panels: int) -> tuple[Figure, Sequence[Any]]:
    figure = Figure(figsize=(3.4 * panels + (6 if panels == 1 else 3), 4.8), layout="constrained")
    axes = figure.subplots(1, panels, sharey=True, squeeze=False)[0]
    for one in axes:
        one.grid(alpha=0.3)
        one.spines[["top", "right"]].set_visible(False)
    return figure, list(axes)


def methods_styles(methods: Sequence[str]) -> Styles:
    """One color and marker for each method; a combination has the color of its method and a broken line."""
    bases = list(dict.fromkeys(method.partition("+")[0] for method in methods))
    paired: Any = matplotlib.color_sequences["tab20"]
    colors = [*paired[::2], *paired[1::2]]  # the strong ones first
    lines = {"": "-", "ensemble": "--", "soup": ":"}
    styles: Styles = {}
    for method in methods:
        base, _, combination = method.partition("+")
        place = bases.index(base)
        styles[method] = {
            "color": colors[place % len(colors)],
            "marker": _MARKERS[place % len(_MARKERS)],
            "linestyle": lines.get(combination, "-"),
            "markersize": 5,
            "markerfacecolor": "white" if combination else None,
        }
    return styles


def _limit(axes: Any, rows: pd.DataFrame) -> None:
    """Limit the scale to the means; the interval of two or three runs can be wider than the whole scale."""
    axes.set_ylim(max(0.0, rows["mean"].min() - 0.08), min(1.0, rows["mean"].max() + 0.08))


def _legend(figure: Figure, axes: Any) -> None:
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside right upper", frameon=False, fontsize="small")
