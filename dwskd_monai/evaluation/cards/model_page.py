"""The bundle's page, as MONAI's model zoo has it, with what was measured with its network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dwskd_monai.evaluation.cards.facts import text_of
from dwskd_monai.evaluation.metrics import CLASS_METRICS, compared_names, overall_metrics

_HEADING = "## Performance\n"
_MACRO = {"auc": "macro AUC", "sensitivity": "balanced accuracy", "accuracy": "accuracy", "f1": "macro F1"}
_RATES = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV"}


def model_page(page: str, metrics: Mapping[str, Any] | None, evaluation: str | None = None) -> str:
    """The bundle's ``docs/README.md`` with metrics in its section Performance.

    Args:
        page: the text of this file.
        metrics: content of the ``metrics.json`` of an evaluation; None: nothing was measured.
        evaluation: which images the metrics are of, in words; None: only their number is said.

    Raises:
        ValueError: if the page has no such section.
    """
    if page.count(_HEADING) != 1:
        raise ValueError("docs/README.md: expected one section '## Performance', into which the metrics are written")
    measured = (
        "Nothing was measured with this network.\n" if not metrics else "\n".join(_lines(metrics, evaluation)) + "\n"
    )
    before, after = page.split(_HEADING)
    text = after.partition("\n## ")
    return f"{before}{_HEADING}\n{measured}\n## {text[2]}" if text[1] else f"{before}{_HEADING}\n{measured}"


def _lines(metrics: Mapping[str, Any], evaluation: str | None) -> Iterator[str]:
    overall = metrics["study"]["overall"]
    count = f"Measured with this network on {overall['count']:.0f} labeled studies."
    yield f"{evaluation or count} `models/model.yaml` has the settings that it was trained with."
    yield ""
    if "report" in metrics:
        yield from _with_intervals(metrics["report"])
    else:
        yield from _without_intervals(metrics["study"])


def _with_intervals(report: Mapping[str, Any]) -> Iterator[str]:
    yield f"Intervals: {report['intervals']}."
    yield ""
    yield from ("| | value |", "|---|---|")
    macro = report["study"]["macro"]
    yield from (f"| {label} | {text_of(macro[name])} |" for name, label in _MACRO.items())
    yield ""
    yield f"| class | n | AUC | {' | '.join(_RATES.values())} |"
    yield "|---" * (len(_RATES) + 3) + "|"
    for name, row in report["study"]["classes"].items():
        rates = [text_of(row["predicted"][rate]) for rate in _RATES]
        yield f"| {name} | {row['n']} | {text_of(row['auc'])} | {' | '.join(rates)} |"


def _without_intervals(study: Mapping[str, Any]) -> Iterator[str]:
    yield from ("| | value |", "|---|---|")
    shown = overall_metrics()
    overall = study["overall"]
    yield from (f"| {shown[name].label} | {_number(overall[name])} |" for name in compared_names() if name in overall)
    missing = study.get("missing_classes")
    if missing:
        yield from ("", f"No study is of class {', '.join(missing)}: means are over the other classes.")
    columns = [metric.name for metric in CLASS_METRICS]
    yield from ("", f"| class | {' | '.join(columns)} |", "|---" * (len(columns) + 1) + "|")
    for name, row in study["per_class"].items():
        yield f"| {name} | {' | '.join(_number(row.get(column)) for column in columns)} |"


def _number(value: float | None) -> str:
    if value is None:
        return "not defined"
    return f"{value:.0f}" if float(value).is_integer() and value > 1 else f"{value:.3f}"
