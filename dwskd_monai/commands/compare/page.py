"""One HTML file with the tables and figures of a comparison, which can be passed on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from dwskd_monai.commands.compare.methods import Method
from dwskd_monai.commands.compare.results import METRICS
from dwskd_monai.evaluation.html.picture import Picture, data_uri
from dwskd_monai.evaluation.html.rendering import render
from dwskd_monai.evaluation.metrics import KEY_METRIC, label_of
from dwskd_monai.files import replacing

_TEMPLATE = Path(__file__).with_name("page.html.jinja")


def write_page(
    out: Path,
    title: str,
    summary: pd.DataFrame,
    methods: Sequence[Method],
    figures: Sequence[Path],
    facts: Mapping[str, str],
    failed: Mapping[str, str],
) -> Path:
    """Write ``index.html``, which needs no other file.

    Args:
        out: folder of the results.
        title: of the page.
        summary: the result of :func:`~dwskd_monai.commands.compare.summary.summarize`.
        methods: with their descriptions.
        figures: PNG files.
        facts: what the page says about the grid, as names and values.
        failed: runs that failed, and why.
    """
    others = [name for name in METRICS if name != KEY_METRIC and name in set(summary["metric"])]
    page = render(
        _TEMPLATE,
        title=title,
        rows=summary[summary["metric"] == KEY_METRIC].to_dict("records"),
        others={label_of(name): _means(summary, name) for name in others},
        methods=methods,
        pictures=[Picture("", path.stem, data_uri(path.read_bytes(), "png")) for path in figures],
        facts=facts,
        failed=failed,
    )
    with replacing(out / "index.html") as temporary:
        temporary.write_text(page, encoding="utf-8")
    return out / "index.html"


def _means(summary: pd.DataFrame, metric: str) -> dict[tuple[float, str], float]:
    """The mean of a metric for each fraction and method."""
    means: dict[tuple[float, str], float] = (
        summary[summary["metric"] == metric].set_index(["fraction", "method"])["mean"].to_dict()
    )
    return means
