"""The figures of the report, as SVG: small enough for a telephone, and without color."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from dwskd_monai.evaluation.html.picture import Picture, data_uri
from dwskd_monai.evaluation.page.curves import ClassCurves, Curve
from dwskd_monai.evaluation.resampling import Rows, band

_SIZE = (3.7, 3.3)  # inches: 355 pixels of a page
_MARGINS = {"left": 0.17, "right": 0.97, "bottom": 0.15, "top": 0.97}  # matplotlib's layouts take most of the time
_BAND: dict[str, Any] = {"color": "0.82", "linewidth": 0}
_LINE: dict[str, Any] = {"color": "0.1", "linewidth": 1.6}
_CHANCE: dict[str, Any] = {"color": "0.4", "linewidth": 1, "linestyle": ":"}


def picture(
    title: str,
    words: str,
    draw: Callable[[Axes], None],
    size: tuple[float, float] = _SIZE,
    left: float = _MARGINS["left"],
) -> Picture:
    """Draw a figure; ``left`` is the share of its width that the names of the rows take."""
    figure = Figure(figsize=size)
    bottom = _MARGINS["bottom"] * _SIZE[1] / size[1]
    axes = figure.subplots(gridspec_kw=_MARGINS | {"left": left, "bottom": bottom})
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    draw(axes)
    return Picture(title, words, as_source(figure))


def as_source(figure: Figure) -> str:
    """A figure as the address of an image that is a part of the page."""
    file = io.BytesIO()
    with matplotlib.rc_context({"svg.fonttype": "none", "font.family": "sans-serif", "svg.hashsalt": "report"}):
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return data_uri(file.getvalue(), "svg+xml")


def roc(name: str, curves: ClassCurves, at_point: tuple[float, float] | None) -> Picture:
    """The ROC curve of a class, with its operating point if it has one."""

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], **_CHANCE)
        _curve(axes, curves.roc)
        if at_point is not None:
            axes.plot(1 - at_point[1], at_point[0], "o", markersize=7, color="0.1", markerfacecolor="white")
        _shares(axes, "1 − specificity", "sensitivity")

    words = f"ROC curve of {name} against all other classes, with its 95 % band; AUC {curves.auc[0]:.3f}."
    return picture(f"ROC: {name}", words, draw)


def precision_recall(name: str, curves: ClassCurves, prevalence: float) -> Picture:
    """The precision-recall curve of a class."""

    def draw(axes: Axes) -> None:
        axes.axhline(prevalence, **_CHANCE)
        _curve(axes, curves.precision_recall)
        _shares(axes, "sensitivity (recall)", "PPV (precision)")

    words = (
        f"Precision-recall curve of {name}, with its 95 % band; average precision {curves.average_precision[0]:.3f}."
    )
    return picture(f"Precision and recall: {name}", words, draw)


def decision(name: str, thresholds: NDArray[np.floating], network: Rows, everybody: Rows) -> Picture:
    """The decision curve of a class."""

    def draw(axes: Axes) -> None:
        low, high = band(network)
        axes.fill_between(thresholds, low, high, **_BAND)
        axes.plot(thresholds, network[0], label="by the network", **_LINE)
        axes.plot(thresholds, everybody[0], label="each study", color="0.3", linestyle="--", linewidth=1.2)
        axes.axhline(0, label="no study", **_CHANCE)
        top = max(float(np.nanmax(high)), 0.01)
        axes.set(xlim=(0, 1), ylim=(-0.2 * top, 1.05 * top), xlabel="threshold of the probability")
        axes.set_ylabel("net benefit")
        axes.legend(frameon=False, fontsize="small", title="act on", loc="upper right")

    words = f"Net benefit of acting on predictions of {name} against the threshold, with its 95 % band."
    return picture(f"Decision curve: {name}", words, draw)


def predictive(name: str, prevalences: NDArray[np.floating], ppv: Rows, npv: Rows, here: float) -> Picture:
    """PPV and NPV of a class against its prevalence."""

    def draw(axes: Axes) -> None:
        for rows, style, label in ((ppv, "-", "PPV"), (npv, "--", "NPV")):
            axes.fill_between(prevalences, *band(rows), **_BAND)
            axes.plot(prevalences, rows[0], label=label, **(_LINE | {"linestyle": style}))
        axes.axvline(here, **(_CHANCE | {"label": "prevalence here"}))
        axes.set_xscale("log")
        ticks = [0.01, 0.03, 0.1, 0.3, 0.9]
        axes.set_xticks(ticks, [f"{100 * tick:.0f} %" for tick in ticks])
        axes.minorticks_off()
        axes.set(ylim=(0, 1.02), xlabel="prevalence", ylabel="predictive value")
        axes.legend(frameon=False, fontsize="small", loc="lower right")

    words = f"PPV and NPV of {name}, by the predicted class, against its prevalence, with 95 % bands."
    return picture(f"Predictive values: {name}", words, draw)


def reliability(title: str, bins: Sequence[Mapping[str, Any]], of_what: str) -> Picture:
    """The share that came true against the mean probability of each bin, with its interval."""
    known = [one for one in bins if not isinstance(one["share"], str)]

    def draw(axes: Axes) -> None:
        axes.plot([0, 1], [0, 1], **_CHANCE)
        for one in known:
            axes.plot([one["mean"]] * 2, [one["share"]["low"], one["share"]["high"]], color="0.5", linewidth=2)
        axes.plot([one["mean"] for one in known], [one["share"]["value"] for one in known], "o-", **_LINE, markersize=4)
        _shares(axes, "mean probability", f"share {of_what}")

    words = f"{title}: the share {of_what} against the mean probability in {len(known)} bins, with 95 % intervals."
    return picture(title, words, draw)


def abstention(rows: Sequence[Mapping[str, Any]]) -> Picture:
    """Coverage and error against the threshold of confidence."""

    def draw(axes: Axes) -> None:
        for key, style, label in (
            ("coverage", "-", "studies that are predicted"),
            ("error", "--", "errors among them"),
        ):
            known = [row for row in rows if not isinstance(row[key], str)]
            x = [row["threshold"] for row in known]
            low = [row[key]["low"] for row in known]
            axes.fill_between(x, low, [row[key]["high"] for row in known], **_BAND)
            axes.plot(x, [row[key]["value"] for row in known], label=label, **(_LINE | {"linestyle": style}))
        axes.set(ylim=(0, 1.02), xlabel="least probability of the predicted class", ylabel="share")
        axes.legend(frameon=False, fontsize="small", loc="center left")

    words = "Share of studies that are predicted, and of errors among them, against the least probability; 95 % bands."
    return picture("Abstention", words, draw)


def _curve(axes: Axes, curve: Curve) -> None:
    axes.fill_between(curve.grid, curve.low, curve.high, **_BAND)
    axes.plot(curve.x, curve.y, **_LINE)


def _shares(axes: Axes, x: str, y: str) -> None:
    axes.set(xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), xlabel=x, ylabel=y)
    axes.set_aspect("equal")
