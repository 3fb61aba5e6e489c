"""Whether intervals cover the truth as often as they say: test sets that are drawn from a population which is known.

    python benchmarks/simulated_evidence.py --out results/simulated_evidence.csv

A patient has one to three studies of one class. The logits of a study are those of its class, shifted for the patient
and for the study, and too large: the network is overconfident. For each simulated bundle, its evidence is fitted to
validation patients and measured on test patients, by the code of evaluation and its report; the truth is the same
number of 60,000 other patients. Writes a row for each number: how often its interval covers the truth. For prediction
sets, ECE and operating points, which depend on what was fitted, the truth of each simulated bundle is its own.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import fire
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import softmax
from sklearn import metrics
from tqdm import tqdm

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import Evidence, read_evidence
from dwskd_monai.evaluation.fitting import Wanted, fit_evidence, patient_groups
from dwskd_monai.evaluation.measuring import measure_evidence
from dwskd_monai.evaluation.page.content import Level, measure_level
from dwskd_monai.evaluation.page.reliability import brier_score
from dwskd_monai.evaluation.resampling import Resamples

NAMES = ["a", "b", "c"]
PREVALENCE = [0.5, 0.3, 0.2]
SEPARATION = 2.0
OVERCONFIDENCE = 1.6
POPULATION = 60_000
Floats = NDArray[np.float64]


def simulate(out: str, sets: int = 200, validation: int = 100, test: int = 150, seed: int = 0) -> None:
    """Draw and measure.

    Args:
        out: CSV file.
        sets: how many bundles are simulated.
        validation: patients that evidence is fitted to.
        test: patients that are evaluated.
        seed: of everything.
    """
    random = np.random.default_rng(seed)
    of_all, labels_of_all, _ = draw(random, POPULATION)
    truth = dict(_truth(of_all, labels_of_all))
    found = defaultdict(list)
    for _ in tqdm(range(sets), desc="test sets"):
        probabilities, labels, patients = draw(random, validation)
        content = fit_evidence(probabilities, labels, patients, NAMES, Aggregation(), Wanted(novelty=None))
        evidence = read_evidence(content)
        of_test = draw(random, test)
        fitted = dict(_truth_of_evidence(evidence, of_all, labels_of_all))
        for name, measured in _measured(evidence, *of_test):
            expected = fitted[name] if name in fitted else truth[name]
            found[name].append(_compared(measured, expected))
    rows = [_row(name, np.array(values)) for name, values in found.items()]
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(out, index=False, float_format="%.6g")
    print(table.to_string(index=False, float_format=lambda value: f"{value:.3f}"))


def draw(random: np.random.Generator, patients: int) -> tuple[Floats, NDArray[np.int64], list[str]]:
    """Probabilities ``(N, K)`` of studies, their classes ``(N,)``, and their patients."""
    counts = random.integers(1, 4, patients)
    classes = random.choice(len(NAMES), patients, p=PREVALENCE).repeat(counts)
    shifts = random.normal(size=(patients, len(NAMES))).repeat(counts, axis=0)
    logits = SEPARATION * np.eye(len(NAMES))[classes] + shifts + random.normal(size=shifts.shape)
    names = np.arange(patients).repeat(counts)
    return softmax(OVERCONFIDENCE * logits, axis=1), classes, [f"P{number}" for number in names]


def _truth(probabilities: Floats, labels: NDArray[np.int64]) -> Iterator[tuple[str, float]]:
    """Of numbers that the temperature does not change."""
    predicted = probabilities.argmax(1)
    yield "accuracy", metrics.accuracy_score(labels, predicted)
    of_classes = metrics.precision_recall_fscore_support(labels, predicted, zero_division=0)
    for index, name in enumerate(NAMES):
        positive = labels == index
        yield f"AUC of {name}", metrics.roc_auc_score(positive, probabilities[:, index])
        yield f"average precision of {name}", metrics.average_precision_score(positive, probabilities[:, index])
        yield f"PPV of {name}", of_classes[0][index]
        yield f"sensitivity of {name}", of_classes[1][index]
        yield f"F1 of {name}", of_classes[2][index]
        yield f"specificity of {name}", (predicted != index)[~positive].mean()
        yield f"NPV of {name}", (~positive)[predicted != index].mean()


def _truth_of_evidence(
    evidence: Evidence, probabilities: Floats, labels: NDArray[np.int64]
) -> Iterator[tuple[str, float]]:
    """Of numbers that depend on what was fitted."""
    calibrated = evidence.calibrated(probabilities)
    right = np.eye(len(NAMES))[labels]
    yield "Brier score", ((calibrated - right) ** 2).sum(1).mean()
    yield "log loss", metrics.log_loss(labels, calibrated)
    for index, name in enumerate(NAMES):
        positive = labels == index
        if name in evidence.operating_points:
            flagged = calibrated[:, index] >= evidence.operating_points[name]
            yield f"sensitivity at the operating point of {name}", flagged[positive].mean()
            yield f"specificity at the operating point of {name}", (~flagged)[~positive].mean()
        if name in evidence.set_thresholds:
            yield f"coverage of sets, {name}", (calibrated[positive, index] >= evidence.set_thresholds[name]).mean()
    for when, these in (("before", probabilities), ("after", calibrated)):
        yield f"ECE {when}", _ece(these, labels)


def _ece(probabilities: Floats, labels: NDArray[np.int64]) -> float:
    """Of a population, in a hundred bins of equal size."""
    confidence = probabilities.max(1)
    errors = confidence - (probabilities.argmax(1) == labels)
    return float(sum(abs(part.sum()) for part in np.array_split(errors[np.argsort(confidence)], 100)) / len(labels))


def _measured(
    evidence: Evidence, probabilities: Floats, labels: NDArray[np.int64], patients: list[str]
) -> Iterator[tuple[str, Any]]:
    """The numbers of the report."""
    groups = patient_groups(patients)
    level = Level(evidence.calibrated(probabilities), labels, groups, Resamples(groups))
    content = measure_level(level, NAMES)[0]
    yield "accuracy", content["macro"]["accuracy"]
    yield "Brier score", brier_score(level.probabilities, labels, groups)
    for name, of_class in content["classes"].items():
        yield f"AUC of {name}", of_class["auc"]
        yield f"average precision of {name}", of_class["average_precision"]
        for metric, title in (("sensitivity", "sensitivity"), ("specificity", "specificity"), ("ppv", "PPV")):
            yield f"{title} of {name}", of_class["predicted"][metric]
        yield f"NPV of {name}", of_class["predicted"]["npv"]
        yield f"F1 of {name}", of_class["predicted"]["f1"]
    said = measure_evidence(evidence, probabilities, labels, patients, NAMES)
    yield "log loss", said["calibration"]["after"]["log_loss"]
    for when in ("before", "after"):
        yield f"ECE {when}", said["calibration"][when]["ece"]
    for name, of_class in said["classes"].items():
        for rate in ("sensitivity", "specificity"):
            if rate in of_class:
                yield f"{rate} at the operating point of {name}", of_class[rate]
        if "coverage" in of_class:
            yield f"coverage of sets, {name}", of_class["coverage"]


def _compared(measured: Mapping[str, Any] | str, truth: float) -> tuple[float, float, float, float]:
    """The truth, the estimate, whether the interval covers the truth, and its width; NaN without an interval."""
    if isinstance(measured, str):
        return truth, np.nan, np.nan, np.nan
    low, high = measured.get("low"), measured.get("high")
    if low is None or high is None:
        return truth, measured["value"], np.nan, np.nan
    return truth, measured["value"], float(low <= truth <= high), high - low


def _row(name: str, values: Floats) -> dict[str, Any]:
    truth, estimate, covered, width = values.T
    known = ~np.isnan(covered)
    return {
        "number": name,
        "truth": truth.mean(),
        "estimate": np.nanmean(estimate),
        "intervals": int(known.sum()),
        "covered": covered[known].mean() if known.any() else np.nan,
        "width": width[known].mean() if known.any() else np.nan,
    }


if __name__ == "__main__":
    fire.Fire(simulate)
