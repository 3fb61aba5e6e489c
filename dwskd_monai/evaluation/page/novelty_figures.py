"""Figures of how unlike the training images studies are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from matplotlib.axes import Axes

from dwskd_monai.evaluation.html.picture import Picture
from dwskd_monai.evaluation.page.figures import picture

_LIMIT: dict[str, Any] = {"color": "0.1", "linewidth": 1.2, "linestyle": "--"}
_ROW = 0.42  # inches, of a site


def novelty_figures(content: Mapping[str, Any]) -> list[Picture]:
    """The scores of the evaluated studies, with the limit, and how those of the validation images are spread."""
    if "distribution" not in content:
        return []
    edges, counts = content["distribution"]["edges"], content["distribution"]["counts"]
    off_scale = content["distribution"]["off_scale"]
    last = f" (last bar: {off_scale} beyond {edges[-1]:.3g})" if off_scale else ""
    validation = content["validation"]
    top = 1.18 * max(counts)

    def draw(axes: Axes) -> None:
        axes.stairs(counts, edges, fill=True, color="0.75")
        axes.stairs(counts, edges, color="0.3", linewidth=1)
        if not isinstance(validation, str):
            _spread(axes, validation["quantiles"], 1.08 * max(counts))
        if content["limit"] is not None:
            axes.axvline(content["limit"], label="limit", **_LIMIT)
            axes.legend(frameon=False, fontsize="small", loc="best")
        axes.set(ylim=(0, top), xlabel=f"novelty score{last}", ylabel="studies")
        axes.set_xlim(left=0)

    with_validation = "" if isinstance(validation, str) else ", and above them the spread of the validation images"
    words = f"How many of the evaluated studies have which novelty score{last}, with the limit{with_validation}."
    return [picture("Novelty scores", words, draw)]


def site_figures(sites: Mapping[str, Any], novelty: Mapping[str, Any]) -> list[Picture]:
    """The spread of the scores at each site, below that of the validation images."""
    rows = {} if isinstance(novelty.get("validation"), str) else {"validation images": novelty.get("validation")}
    rows |= {name: one.get("scores") for name, one in sites.get("sites", {}).items()}
    known = {name: one["quantiles"] for name, one in rows.items() if isinstance(one, Mapping)}
    if not known.keys() - {"validation images"}:
        return []

    def draw(axes: Axes) -> None:
        for place, quantiles in enumerate(known.values()):
            _spread(axes, quantiles, place)
        if novelty.get("limit") is not None:
            axes.axvline(novelty["limit"], label="limit", **_LIMIT)
            axes.legend(frameon=False, fontsize="small", loc="best")
        axes.set_yticks(range(len(known)), [_short(name) for name in known])
        axes.set(ylim=(len(known) - 0.5, -0.5), xlabel="novelty score")
        axes.set_xlim(left=0)

    words = f"The spread of the novelty scores of {', '.join(known)}, with the limit."
    size = (3.7, max(1.6, 0.9 + _ROW * len(known)))
    return [picture("Novelty scores by site", words, draw, size, left=0.34)]


def _spread(axes: Axes, quantiles: Mapping[str, float], place: float) -> None:
    """A line from the 5th to the 95th percentile, a thick one from the 25th to the 75th, and a dot at the median."""
    axes.plot([quantiles["5"], quantiles["95"]], [place, place], color="0.3", linewidth=1.5)
    axes.plot([quantiles["25"], quantiles["75"]], [place, place], color="0.3", linewidth=6, solid_capstyle="butt")
    axes.plot(quantiles["50"], place, "o", color="0.1", markerfacecolor="white", markersize=6)


def _short(name: str, most: int = 16) -> str:
    return name if len(name) <= most else f"{name[: most - 1]}…"
