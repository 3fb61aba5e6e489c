"""Shortcuts: how well parts of the images, or properties of the files, tell the classes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.intervals import Groups
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.resampling import Resamples, Rows, record
from dwskd_monai.evaluation.shortcuts.collecting import Seen
from dwskd_monai.evaluation.shortcuts.forest import drawn_images
from dwskd_monai.evaluation.shortcuts.telling import MUCH, class_aucs, forest_aucs, mean_auc, tells_much

WHOLE = "whole images"
_WITHOUT_DISEASE = {  # parts that should not tell the class, and their verb
    "borders": "the borders of the images alone tell",
    "image size": "the image size alone tells",
    "bit depth": "the bit depth of the files alone tells",
    "file type": "the file type alone tells",
    "view": "the view alone tells",
    "scanner": "the scanner alone tells",
}
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
    classes, rows = class_aucs(scores, columns, labels, groups, resamples, class_names)
    return {"classes": classes, "macro": mean_auc(rows, labels, groups)}, rows


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
        else:
            found[name] = forest_aucs(chosen, labels[drawn], members, class_names)
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
        if tells_much(auc):
            told.append(f"{name} (AUC {auc['value']:.2f}, {auc['low']:.2f}–{auc['high']:.2f})")
    return ", ".join(told)
