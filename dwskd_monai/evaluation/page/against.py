"""Two networks on the same studies: paired differences, and which studies one of them alone predicts correctly."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dwskd_monai.evaluation.areas import auc_record, mean_area_record
from dwskd_monai.evaluation.intervals import Groups, group_count, group_numbers, groups_of, standard_error, too_few
from dwskd_monai.evaluation.measuring import LEAST_PATIENTS, Measured, share
from dwskd_monai.evaluation.page.rates import macro_rows
from dwskd_monai.evaluation.page.subsets import Predictions, class_areas, lacking_mean
from dwskd_monai.evaluation.resampling import Resamples, Rows, lacking, record

Flags = NDArray[np.bool_]
Pair = dict[str, Measured]  # this network, the other one, and their difference
_Areas = tuple[Mapping[str, Rows], Mapping[str, Rows]]


def against(this: Predictions, other: Predictions, resamples: Resamples) -> dict[str, Any]:
    """All that is said of two networks.

    Differences are those of this network less the other one. Both networks share their resamples of patients, so the
    interval of a difference is that of pairs. For AUCs, this does what DeLong et al. (Biometrics 1988, 44:837) do, and
    takes a patient as a whole besides.

    Args:
        this, other: predictions of the same studies, in one order.
        resamples: of their patients.

    Returns:
        ``metrics`` and ``classes``, each number with ``this``, ``other`` and ``difference``; ``mcnemar``; and
        ``reclassification``, by the true class.
    """
    areas = class_areas(this, resamples), class_areas(other, resamples)
    names = enumerate(this.class_names)
    return {
        "metrics": _overall(this, other, areas, resamples),
        "classes": {name: _of_class(this, other, index, areas, resamples) for index, name in names},
        "mcnemar": mcnemar(_right(this), _right(other), this.groups),
        "reclassification": reclassification(this, other, resamples),
    }


def _overall(this: Predictions, other: Predictions, areas: _Areas, resamples: Resamples) -> dict[str, Pair]:
    count = len(this.labels)
    everything = np.ones(count, dtype=bool)
    found = {"accuracy": _shares(_right(this), _right(other), everything, this, resamples)}
    reason = lacking_mean(this)
    if reason is not None:
        return found | {name: _words(reason) for name in ("balanced_accuracy", "auc")}
    sensitivity, other_sensitivity = (
        macro_rows(one.predicted, one.labels, resamples)["sensitivity"] for one in (this, other)
    )
    known, other_known = record(sensitivity, count), record(other_sensitivity, count)
    found["balanced_accuracy"] = _pair(known, other_known, sensitivity - other_sensitivity, count)
    auc, other_auc = (mean_area_record(of_classes.values(), this.labels, this.groups) for of_classes in areas)
    mean, other_mean = (np.mean(list(of_classes.values()), axis=0) for of_classes in areas)
    found["auc"] = _pair(auc, other_auc, mean - other_mean, count)
    return found


def _of_class(
    this: Predictions, other: Predictions, index: int, areas: _Areas, resamples: Resamples
) -> dict[str, Pair]:
    positive = this.labels == index
    flagged, other_flagged = this.predicted == index, other.predicted == index
    name = this.class_names[index]
    reason = lacking(positive, this.groups)
    auc = _words(reason or "")
    if reason is None:
        rows, other_rows = (of_classes[name] for of_classes in areas)
        known, other_known = (auc_record(one, positive, this.groups) for one in (rows, other_rows))
        auc = _pair(known, other_known, rows - other_rows, len(positive))
    return {
        "auc": auc,
        "sensitivity": _shares(flagged, other_flagged, positive, this, resamples),
        "specificity": _shares(~flagged, ~other_flagged, ~positive, this, resamples),
    }


def _shares(hits: Flags, other_hits: Flags, chosen: Flags, this: Predictions, resamples: Resamples) -> Pair:
    """Shares of hits among the chosen studies, and their difference."""
    known, other_known = share(hits, chosen, this.groups), share(other_hits, chosen, this.groups)
    if isinstance(known, str):
        return _words(known)
    differences = _share_rows(hits, chosen, resamples) - _share_rows(other_hits, chosen, resamples)
    return _pair(known, other_known, differences, int(chosen.sum()))


def _share_rows(hits: Flags, chosen: Flags, resamples: Resamples) -> Rows:
    of_chosen, of_hits = resamples.totals(np.stack([chosen, chosen & hits], axis=1)).T
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(of_hits / of_chosen)


def _pair(this: Measured, other: Measured, differences: Rows, count: int) -> Pair:
    return {"this": this, "other": other, "difference": record(differences, count)}


def _words(reason: str) -> Pair:
    return {"this": reason, "other": reason, "difference": reason}


def _right(predictions: Predictions) -> Flags:
    return np.asarray(predictions.predicted == predictions.labels)


def mcnemar(right: Flags, other_right: Flags, groups: Groups) -> dict[str, Any]:
    """Whether one network is right more often, from the studies that one of both alone predicts correctly.

    With one study of each patient, this is McNemar's exact test. Several studies of a patient are not independent:
    then the difference is divided by its standard error from the sums of the patients (Obuchowski, Statistics in
    Medicine 1998, 17:1495), which is about normal.
    """
    counts = {"only_this": int((right & ~other_right).sum()), "only_other": int((other_right & ~right).sum())}
    discordant = sum(counts.values())
    if group_count(groups) < LEAST_PATIENTS:
        return counts | {"reason": too_few(groups)}
    if discordant == 0:
        return counts | {"p": 1.0, "test": "no study is predicted correctly by one network alone"}
    if group_count(groups) == len(right):
        p = stats.binomtest(counts["only_this"], discordant).pvalue
        return counts | {"p": round(float(p), 6), "test": "McNemar's exact test"}
    unlike = groups_of(right != other_right, groups)
    if group_count(unlike) < LEAST_PATIENTS:
        return counts | {"reason": f"{too_few(unlike)} that one network alone predicts correctly"}
    differences = right.astype(float) - other_right.astype(float)
    error = standard_error(differences, group_numbers(groups))
    p = 2 * stats.norm.sf(abs(differences.sum()) / error)
    return counts | {"p": round(float(p), 6), "test": "McNemar's test for several studies of a patient (Obuchowski)"}


def reclassification(this: Predictions, other: Predictions, resamples: Resamples) -> dict[str, Any]:
    """For each true class: from which class of the other network to which of this one studies go, and what is gained.

    ``net`` is the share of studies that this network alone predicts correctly, less the share that the other one alone
    does. For two classes, the sum of both is the net reclassification index (Pencina et al., Statistics in Medicine
    2008, 27:157) at the most probable class.
    """
    count = len(this.class_names)
    classes = {}
    nets = []
    for index, name in enumerate(this.class_names):
        chosen = this.labels == index
        pairs = other.predicted[chosen] * count + this.predicted[chosen]
        hits, other_hits = this.predicted == index, other.predicted == index
        nets.append(_share_rows(hits, chosen, resamples) - _share_rows(other_hits, chosen, resamples))
        classes[name] = {
            "n": int(chosen.sum()),
            "both_right": int((chosen & hits & other_hits).sum()),
            "only_this": int((chosen & hits & ~other_hits).sum()),
            "only_other": int((chosen & ~hits & other_hits).sum()),
            "both_wrong": int((chosen & ~hits & ~other_hits).sum()),
            "net": _shares(hits, other_hits, chosen, this, resamples)["difference"],
            "table": np.bincount(pairs, minlength=count * count).reshape(count, count).tolist(),
        }
    found: dict[str, Any] = {"classes": classes}
    if count == 2:
        words = "; ".join(f"{name}: {one['net']}" for name, one in classes.items() if isinstance(one["net"], str))
        found["index"] = words or record(nets[0] + nets[1], len(this.labels))
    return found


def against_sentences(content: Mapping[str, Any] | None) -> Iterator[str]:
    """What it means, for the summary."""
    if content is None:
        return
    difference = content["metrics"]["balanced_accuracy"]["difference"]
    name = content["network"]["bundle"]
    if isinstance(difference, str):
        yield f"Whether it is better than the other network ({name}) cannot be said."
        return
    lower = "lower" if difference["value"] < 0 else "higher"
    interval = difference.get("reason")
    if interval is None:
        interval = f"{100 * difference['low']:.1f} to {100 * difference['high']:.1f}".replace("-", "−")
    points = f"{abs(100 * difference['value']):.1f} points {lower} ({interval})"
    yield f"Its balanced accuracy is {points} than that of the other network, {name}."
