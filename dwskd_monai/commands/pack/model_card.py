"""The page of a packed network: that of the bundle, with the metrics of this network."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dwskd_monai.evaluation.metrics import CLASS_METRICS, compared_names, overall_metrics

_HEADING = "## Performance\n"


def model_card(page: str, provenance: Mapping[str, Any]) -> str:
    """The bundle's ``docs/README.md`` with the metrics of ``provenance`` in its section Performance.

    Raises:
        ValueError: if the page has no such section.
    """
    if page.count(_HEADING) != 1:
        raise ValueError("docs/README.md: expected one section '## Performance', into which the metrics are written")
    metrics = provenance["metrics"]
    measured = _tables(metrics) if metrics else "Nothing was measured when this network was packed.\n"
    before, after = page.split(_HEADING)
    text = after.partition("\n## ")
    return f"{before}{_HEADING}\n{measured}\n## {text[2]}" if text[1] else f"{before}{_HEADING}\n{measured}"


def _tables(metrics: Mapping[str, Any]) -> str:
    overall = metrics["study"]["overall"]
    classes = metrics["study"]["per_class"]
    lines = [
        f"Measured with this network on {overall['count']:.0f} labeled studies (`models/model.yaml` has the settings "
        "that it was trained with):",
        "",
        "| | value |",
        "|---|---|",
    ]
    shown = overall_metrics()
    lines += [f"| {shown[name].label} | {_number(overall[name])} |" for name in compared_names() if name in overall]
    missing = metrics["study"].get("missing_classes")
    if missing:
        lines += ["", f"No study is of class {', '.join(missing)}: means are over the other classes."]
    columns = [metric.name for metric in CLASS_METRICS]
    lines += ["", f"| class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|"]
    lines += [
        f"| {name} | {' | '.join(_number(row.get(column)) for column in columns)} |" for name, row in classes.items()
    ]
    return "\n".join(lines) + "\n"


def _number(value: float | None) -> str:
    if value is None:
        return "not defined"
    return f"{value:.0f}" if float(value).is_integer() and value > 1 else f"{value:.3f}"
