"""Evidence that is fitted to the predictions of all folds together."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any

from dwskd_monai.bundle.lock import require_alone
from dwskd_monai.bundle.settings_file import write_settings
from dwskd_monai.commands.calibrate.training import RepeatedTraining
from dwskd_monai.data.items import study_of
from dwskd_monai.evaluation.evidence import lacking
from dwskd_monai.evaluation.fitting import Wanted, fit_evidence
from dwskd_monai.evaluation.prediction_files import LabeledPredictions
from dwskd_monai.files import replacing

_NOVELTY = "novelty"
_FITTED_ON = (
    "out-of-fold predictions of all labeled studies, by {folds} networks that were trained as this one, each to the "
    "last epoch and without the fold that it predicts{start}"
)


def wanted_of(settings: dict[str, Any]) -> dict[str, Any]:
    """Take what is to be fitted otherwise than in the training out of the settings of a command line.

    Raises:
        ValueError: for a share or a rule that there is not, or for the novelty score.
    """
    if _NOVELTY in settings:
        raise ValueError(
            f"{_NOVELTY}: the score comes from the images, not from a network's predictions, so calibrate does not fit "
            f"it anew; train the bundle with --{_NOVELTY} {settings[_NOVELTY]}"
        )
    names = [field.name for field in dataclasses.fields(Wanted) if field.name in settings]
    wanted = {name: settings.pop(name) for name in names}
    Wanted(**wanted)
    return wanted


def fit_to_folds(
    training: RepeatedTraining, predictions: LabeledPredictions, wanted: Mapping[str, Any]
) -> dict[str, Any]:
    """Fit evidence to predictions of all studies, and write it into the settings of the bundle's network.

    Args:
        training: that of the bundle.
        predictions: of its labeled studies.
        wanted: what is fitted otherwise than in the training, as of :class:`~dwskd_monai.evaluation.fitting.Wanted`.
    """
    trained = training.trained
    names = trained.class_names
    patients = {study_of(item): item.get("patient") for item in training.items}
    _require_all(patients.keys() - set(predictions.studies), training)
    record = fit_evidence(
        predictions.probabilities,
        predictions.labels,
        [patients[study] for study in predictions.studies],
        names,
        training.bundle.parsed("aggregation", "train"),
        Wanted(**{**trained.evidence.get("settings", {}), **wanted}),
        _FITTED_ON.format(folds=len(training.folds), start=training.start),
    )
    record[_NOVELTY] = trained.evidence.get(_NOVELTY, {"reason": "the training fitted none"})
    require_alone(training.weights.parent, training)  # a training there would write these files too
    training.refuse_changes()
    with replacing(training.settings_file) as temporary:
        write_settings(temporary, training.weights, trained, names, trained.origin, record)
    return record


def _require_all(missing: Collection[str], training: RepeatedTraining) -> None:
    """Raise ValueError if more studies have no prediction than the training had refused images."""
    if len(missing) > training.refused_images:
        raise ValueError(
            f"dataset_dir: {len(missing)} labeled studies have no prediction, such as {min(missing)}; give the images "
            "of the training, and remove the folder of the folds (out_of_fold beside the weights, or --out)"
        )


def said_of(before: Mapping[str, Any], after: Mapping[str, Any]) -> str:
    """What has changed, in words."""
    was = f"{before['temperature']['value']:.2f} by {before['studies']}" if before else "not fitted"
    lines = [
        f"fitted to {after['studies']} studies ({after['intervals']}): {after['fitted_on']}",
        f"temperature {after['temperature']['value']:.2f}; before: {was}",
        *lacking(after),
    ]
    return "\n".join(lines)
