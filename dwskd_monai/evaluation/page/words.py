"""What the report says in words: a summary, and limits that follow from what was measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from dwskd_monai.evaluation.evidence import lacking
from dwskd_monai.evaluation.html.numbers import number_text
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS
from dwskd_monai.evaluation.page.against import against_sentences
from dwskd_monai.evaluation.page.novelty import novelty_sentences

_WIDE = 0.2  # of an interval
_SMALL_P = 0.05
_PLURALS = {"study": "studies", "slice": "slices", "patient": "patients", "image": "images", "class": "classes"}
SPLITS = {
    "test": "test images",
    "validation": "validation images of the training",
    "training": "training images",
    "all": "all images of the data set",
}


def count_text(count: int, thing: str) -> str:
    """A number of things.

    Examples:
        >>> count_text(1, "study"), count_text(12, "study")
        ('1 study', '12 studies')
    """
    return f"{count:,} {thing if count == 1 else _PLURALS[thing]}"


def summary(content: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """What was evaluated, how good it is, and how little that may mean."""
    data = content["data"]
    patients = "patients are not known of all" if data["patients"] is None else count_text(data["patients"], "patient")
    which = SPLITS.get(facts["split"], "images")
    article = "" if facts["split"] == "all" else "the "
    sentences = [f"The network was evaluated on {count_text(data['studies'], 'study')} ({patients}): {article}{which}."]
    sentences += _cautions(facts)
    sentences.append(_overall(content["study"]["macro"]))
    sentences += _of_classes(content["study"]["classes"])
    sentences += content["shortcuts"]["found"]
    sentences += against_sentences(content.get("against"))
    confident = content["failures"][0] if content["failures"] else None
    if confident is not None:
        sentences.append(
            f"{count_text(content['failure_count'], 'study')} of {data['studies']:,} {_was(content['failure_count'])} "
            f"predicted wrongly, the most confident error with a probability of {confident['probability']:.2f}."
        )
    return sentences


def _was(count: int) -> str:
    return "was" if count == 1 else "were"


def _cautions(facts: Mapping[str, Any]) -> Iterator[str]:
    if facts["trained_images"]:
        yield "The network was trained on some of these images, so all numbers are too good."
    elif facts["trained_images"] is None:
        yield "It is unknown whether the network was trained on some of these images."
    elif facts["fitted_images"] is None:
        yield "It is unknown whether some of these images chose the epoch."
    if facts["fitted_images"]:
        yield (
            f"{facts['fitted_images']:,} of these images chose the epoch and fitted the operating points, so new "
            "images will have worse numbers."
        )


def _overall(macro: Mapping[str, Any]) -> str:
    if isinstance(macro["sensitivity"], str):
        return f"How good it is cannot be said ({macro['sensitivity']})."
    auc = number_text(macro["auc"])
    return (
        f"On average over the classes, it finds {_percent(macro['sensitivity'])} of the studies of a class (balanced "
        f"accuracy), and its AUC is {auc.value} ({auc.interval}); in brackets are 95 % intervals."
    )


def _of_classes(classes: Mapping[str, Any]) -> Iterator[str]:
    """The class that is found least often."""
    known = {
        name: one["predicted"]["sensitivity"]
        for name, one in classes.items()
        if not isinstance(one["predicted"]["sensitivity"], str)
    }
    if len(known) > 1:
        worst = min(known, key=lambda name: float(known[name]["value"]))
        yield f"It finds {worst} least often: {_percent(known[worst])} of {count_text(known[worst]['n'], 'study')}."


def _percent(measured: Mapping[str, Any]) -> str:
    value = f"{100 * measured['value']:.0f} %"
    if measured["low"] is None:
        return f"{value} ({measured['reason']})"
    return f"{value} ({_between(measured, '–')})"


def _between(measured: Mapping[str, Any], word: str) -> str:
    return f"{100 * measured['low']:.0f}{word}{100 * measured['high']:.0f} %"


def limits(content: Mapping[str, Any], facts: Mapping[str, Any]) -> list[str]:
    """What these numbers do not say, from what was measured and what was not."""
    return [
        *_of_images(content, facts),
        *_of_size(content),
        *_of_evidence(facts["evidence"]),
        "PPV, NPV, accuracy and net benefit hold where the classes are as frequent as here.",
        "Intervals hold for one number at a time; with so many numbers, some intervals miss the truth.",
        *novelty_sentences(content["novelty"]),
        *of_subgroups(content["subgroups"]["columns"]),
        *_of_shortcuts(content["shortcuts"]),
        "Not measured: other sites than those of these images, and whether people decide better with the predictions.",
    ]


def _of_shortcuts(shortcuts: Mapping[str, Any]) -> Sequence[str]:
    if "reason" in shortcuts:
        return [f"Whether shortcuts tell the classes was not measured: {shortcuts['reason']}."]
    return [*shortcuts["found"], "Shortcuts were looked for in borders, blurred images and file properties only."]


def _of_images(content: Mapping[str, Any], facts: Mapping[str, Any]) -> Iterator[str]:
    yield from _cautions(facts)
    if content["data"]["patients"] is None:
        yield (
            "Patients are unknown, at least of some studies. Intervals take such a study as a patient; they are too "
            "narrow if there are several studies of one patient."
        )
    refused = facts["refused_images"]
    if refused:
        yield f"{count_text(refused, 'image')} could not be used, so nothing is known of such images (refused.csv)."


def _of_size(content: Mapping[str, Any]) -> Iterator[str]:
    """Classes without numbers, and the widest interval of a sensitivity."""
    classes = content["study"]["classes"]
    few = [f"{name}: {one['predicted']['sensitivity']}" for name, one in classes.items() if _is_words(one)]
    if few:
        yield f"No sensitivity is said of fewer than {LEAST_PATIENTS} patients ({'; '.join(few)})."
    widths = {
        name: one["predicted"]["sensitivity"]["high"] - one["predicted"]["sensitivity"]["low"]
        for name, one in classes.items()
        if not _is_words(one)
    }
    for name, width in sorted(widths.items(), key=lambda pair: -pair[1]):
        if width > _WIDE:
            measured = classes[name]["predicted"]["sensitivity"]
            yield (
                f"The sensitivity of {name} is known only roughly: it is between {_between(measured, ' and ')} "
                f"(n = {measured['n']:,})."
            )


def of_subgroups(columns: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    """Groups that differ, and the smallest one of each column."""
    if not columns:
        yield "Whether the network is worse for some people is unknown: no subgroup was measured."
    for column, groups in columns.items():
        smallest = min(groups, key=lambda name: int(groups[name]["studies"]))
        yield f"The smallest group of {column} is {smallest}, with {count_text(groups[smallest]['studies'], 'study')}."
        yield from _of_worse_groups(column, groups)


def _of_worse_groups(column: str, groups: Mapping[str, Any]) -> Iterator[str]:
    for name, one in groups.items():
        difference = one["difference"]
        if isinstance(difference, str) or difference["value"] >= 0:
            continue
        sure = f"p = {one['p']:.3f}, corrected" if "p" in one else difference["reason"]
        if one.get("p", 0.0) < _SMALL_P:
            shown = number_text(difference).value
            yield f"Predictions are right less often for {column} {name}: by {shown} ({sure})."


def _is_words(of_class: Mapping[str, Any]) -> bool:
    return isinstance(of_class["predicted"]["sensitivity"], str)


def calibration_text(evidence: Mapping[str, Any]) -> str:
    """What the training fitted to make probabilities mean what they say."""
    temperature = evidence.get("temperature")
    if temperature is None:
        return f"Probabilities are not calibrated, so before and after are the same: {evidence.get('reason', '')}."
    if temperature["value"] == 1:
        reason = temperature.get("reason", "the temperature is 1")
        return f"Probabilities are not calibrated, so before and after are the same: {reason}."
    return (
        f"A temperature T of {temperature['value']:.3g} was fitted to {temperature['n']:,} studies: "
        f"{evidence['fitted_on']}. After: each probability p becomes p^(1/T), divided by their sum, as in predictions."
    )


def _of_evidence(evidence: Mapping[str, Any]) -> Sequence[str]:
    """What could not be fitted at the training."""
    if not evidence.get("applied"):
        return [f"There are no calibration, operating points and prediction sets: {evidence['reason']}."]
    return [f"{words[0].upper()}{words[1:]}." for words in lacking(evidence)]
