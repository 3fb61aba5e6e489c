"""The page of a bundle, as MONAI's model zoo has it, or of its classifier alone, with what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from dwskd_monai.evaluation.cards.facts import measured_on, text_of
from dwskd_monai.evaluation.metrics import CLASS_METRICS, compared_names, overall_metrics

_WRITTEN = {"Performance": "the metrics are", "Model Description": "the facts of the network are"}
_OF_A_BUNDLE = ("Data", "System Configuration", "Usage")  # sections that say how to train with it and run it
_MACRO = {"auc": "macro AUC", "sensitivity": "balanced accuracy", "accuracy": "accuracy", "f1": "macro F1"}
_RATES = {"sensitivity": "sensitivity", "specificity": "specificity", "ppv": "PPV", "npv": "NPV"}


def model_page(page: str, metrics: Mapping[str, Any] | None) -> str:
    """The bundle's ``docs/README.md`` with metrics in its section Performance.

    Args:
        page: the text of this file.
        metrics: content of the ``metrics.json`` of an evaluation; None: nothing was measured.

    Raises:
        ValueError: if the page has no such section.
    """
    where = "`models/model.yaml` has the settings that it was trained with."
    return _in_section(page, "Performance", _measured(metrics, where))


def classifier_page(page: str, metrics: Mapping[str, Any] | None, network: Mapping[str, str]) -> str:
    """The page of a classifier that goes without its bundle: of this network, without what a training needs.

    Args:
        page, metrics: as for :func:`model_page`.
        network: names and values that describe the network.

    Raises:
        ValueError: if the page has no section to write to.
    """
    shown = page.partition("-->\n")[2] if page.startswith("<!--") else page  # the comment says where it is edited
    head, *sections = shown.split("\n## ")
    kept = [section for section in sections if section.partition("\n")[0] not in _OF_A_BUNDLE]
    facts = "\n".join(f"- {name}: {value}" for name, value in network.items()) + "\n"
    described = _in_section("\n## ".join([head, *kept]), "Model Description", facts)
    return _in_section(described, "Performance", _measured(metrics, ""))


def _in_section(page: str, name: str, text: str) -> str:
    heading = f"## {name}\n"
    if page.count(heading) != 1:
        raise ValueError(f"docs/README.md: expected one section '## {name}', into which {_WRITTEN[name]} written")
    before, _, after = page.partition(heading)
    following = after.partition("\n## ")
    rest = f"\n## {following[2]}" if following[1] else ""
    return f"{before}{heading}\n{text}{rest}"


def _measured(metrics: Mapping[str, Any] | None, where: str) -> str:
    if not metrics:
        return "Nothing was measured with this network.\n"
    return "\n".join(_lines(metrics, where)) + "\n"


def _lines(metrics: Mapping[str, Any], where: str) -> Iterator[str]:
    yield f"{measured_on(metrics)} {where}".rstrip()
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
