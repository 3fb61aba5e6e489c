"""Shortcuts: how well parts of the images, or properties of the files, tell the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.intervals import Groups, groups_of
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.page.curves import auc_record, auc_rows, mean_area_record
from dwskd_monai.evaluation.page.resampling import Resamples, Rows, lacking, record
from dwskd_monai.evaluation.shortcuts.collecting import Seen
from dwskd_monai.evaluation.shortcuts.forest import drawn_images, forest_scores

MUCH = 0.6
WHOLE = "whole images"
RULE = (
    f"A part tells much about a class if even the lower end of the interval of its AUC is above {MUCH}; chance is 0.5."
)
_WITHOUT_DISEASE = {  # parts that should not tell the class, and their verb
    "borders": "the borders of the images alone tell",
    "image size": "the image size alone tells",
    "bit depth": "the bit depth of the files alone tells",
    "file type": "the file type alone tells",
    "view": "the view alone tells",
    "scanner": "the scanner alone tells",
}
_TOO_FEW_CLASSES = "too few patients of all classes but one"
Labels = NDArray[np.integer]


def shortcuts(
    seen: Seen | None,
    calibrated: Callable[[Probabilities], Probabilities],
    whole: Probabilities,
    labels: Labels,
    groups: Groups,
    resamples: Resamples,
    class_names: Sequence[str],
    patients_known: bool = True,
) -> dict[str, Any]:
    """AUCs of each class and of all, by the network that sees a part only, and by a forest fitted to this part.

    Args:
        seen: parts of the images; None: they were not looked at.
        calibrated: from probabilities of studies to calibrated ones.
        whole: ``(N, K)``, calibrated, from whole images.
        labels: ``(N,)``.
        groups: the patient of each study.
        resamples: of these patients.
        class_names: K names.
        patients_known: whether the patient of each study is known; else a forest may recognize a patient.
    """
    if seen is None:
        return {"reason": "shortcuts is false, or evaluate.yaml is of an earlier version", "found": []}
    network = {}
    of_whole: list[Rows | None] = []
    for name, probabilities in {WHOLE: whole, **{one: calibrated(p) for one, p in seen.probabilities.items()}}.items():
        network[name], rows = _aucs(probabilities, range(len(class_names)), labels, groups, resamples, class_names)
        if name == WHOLE:
            of_whole = rows
        else:
            network[name]["difference"] = _difference(of_whole, rows, len(labels))
    drawn = np.array(drawn_images(groups))
    forest, left_out = _of_forest(seen.features, drawn, labels, groups, class_names)
    found = [*_of_network(network, class_names), *_of_features(forest, class_names, patients_known)]
    return {"much": MUCH, "network": network, "forest": forest, "left_out": left_out, "found": found}


def _aucs(
    scores: Probabilities,
    columns: Sequence[int],
    labels: Labels,
    groups: Groups,
    resamples: Resamples,
    class_names: Sequence[str],
) -> tuple[dict[str, Any], list[Rows | None]]:
    """AUCs of the classes, whose scores are in ``columns``, and of all of them that occur; and their rows."""
    classes: dict[str, Measured] = {}
    rows: list[Rows | None] = []
    for index, name in enumerate(class_names):
        positive = labels == index
        reason = lacking(positive, groups)
        rows.append(None)
        if reason is not None or index not in columns:
            classes[name] = reason or _TOO_FEW_CLASSES
            continue
        of_class = auc_rows(scores[:, list(columns).index(index)], positive, resamples)
        rows[-1] = of_class
        classes[name] = auc_record(of_class, positive, groups)
    return {"classes": classes, "macro": _macro(rows, labels, groups)}, rows


def _macro(rows: Sequence[Rows | None], labels: Labels, groups: Groups) -> Measured:
    """The mean over the classes that occur; words if one of them has no AUC."""
    known = [rows[index] for index in np.unique(labels).tolist()]
    if len(known) < 2 or any(one is None for one in known):
        return "too few patients of a class"
    return mean_area_record([one for one in known if one is not None], labels, groups)


def _difference(whole: Sequence[Rows | None], part: Sequence[Rows | None], count: int) -> Measured:
    """How much higher the mean AUC of whole images is, over the classes that have one."""
    pairs = [(one, other) for one, other in zip(whole, part, strict=True) if one is not None and other is not None]
    if not pairs:
        return "too few patients of a class"
    return record(np.mean([one - other for one, other in pairs], axis=0), count)


def _of_forest(
    features: Mapping[str, NDArray[np.float64]],
    drawn: NDArray[np.integer],
    labels: Labels,
    groups: Groups,
    class_names: Sequence[str],
) -> tuple[dict[str, Any], list[str]]:
    """AUCs by a forest for each kind of features, and the kinds that are the same for all images."""
    found: dict[str, Any] = {}
    left_out = []
    members = [groups[index] for index in drawn]
    for name, rows in features.items():
        chosen = rows[drawn]
        if (chosen == chosen[0]).all():
            left_out.append(name)
            continue
        told = forest_scores(chosen, labels[drawn], members, len(class_names))
        used = groups_of(told.used, members)
        if told.scores is None:
            found[name] = {"classes": dict.fromkeys(class_names, _TOO_FEW_CLASSES), "macro": _TOO_FEW_CLASSES}
            continue
        known = labels[drawn][told.used]
        found[name], _ = _aucs(told.scores, told.classes, known, used, Resamples(used), class_names)
    return found, left_out


def _of_network(network: Mapping[str, Any], class_names: Sequence[str]) -> Iterator[str]:
    told = _much(network["borders"], class_names)
    if told:
        yield (
            f"Warning: shown nothing but the borders of the images, the network still tells {told}. It has learned "
            "something from the borders: check whether the disease can be seen there at all."
        )


def _of_features(forest: Mapping[str, Any], class_names: Sequence[str], patients_known: bool) -> Iterator[str]:
    caution = "" if patients_known else " (Patients are not known of all: it may have recognized patients.)"
    for name, sentence in _WITHOUT_DISEASE.items():
        told = _much(forest[name], class_names) if name in forest else ""
        if told:
            yield (
                f"Warning: {sentence} {told}, by a small classifier that was fitted to nothing else. A network may "
                f"reach a high AUC on such images without seeing the disease.{caution}"
            )


def _much(measured: Mapping[str, Any], class_names: Sequence[str]) -> str:
    """The classes that a part tells much about, with their AUCs; empty: none."""
    told = []
    for name in class_names:
        auc = measured["classes"][name]
        if not isinstance(auc, str) and auc["low"] is not None and auc["low"] > MUCH:
            told.append(f"{name} (AUC {auc['value']:.2f}, {auc['low']:.2f}–{auc['high']:.2f})")
    return ", ".join(told)
