"""The command ``calibrate``."""

from __future__ import annotations

import sys
from typing import Any


def calibrate(bundle: str, dataset_dir: str | None = None, out: str | None = None, **settings: Any) -> None:
    """Fit temperature, operating points and prediction sets to all labeled images: ``calibrate BUNDLE DIR``.

    A training fits the temperature, the operating points and the prediction sets to its validation images, which also
    chose its epoch; with few labels these are few. For each fold, this command trains a network as the bundle's was
    trained, without using the fold, and predicts the fold with it. It then fits them to the predictions of all folds.
    It takes as long as that many trainings, and continues after the last fold that was finished. The bundle's network
    stays as it is; its model.yaml is written again.

    Args:
        bundle: folder of the bundle.
        dataset_dir: the labeled images of the training; by default those that the bundle was created for.
        out: folder for the trainings; out_of_fold beside the weights by default.
        settings: --operating_point RULE, --prediction_set SHARE or --calibrate false, to fit them otherwise than in the
            training; paths of the training, which it does not record: --teacher_weights FILE, --unlabeled_dir DIR; and
            where to compute: --device, --num_workers, --cache_dir.
    """
    from pathlib import Path

    from dwskd_monai.commands.calibrate.folds import FoldTrainings
    from dwskd_monai.commands.calibrate.pooled import fit_to_folds, said_of, wanted_of
    from dwskd_monai.commands.calibrate.training import RepeatedTraining

    wanted = wanted_of(settings)
    training = RepeatedTraining(bundle, dataset_dir, settings)
    folds = FoldTrainings(training, None if out is None else Path(out))
    before = training.trained.evidence
    fitted = fit_to_folds(training, folds.predictions(), wanted)
    sys.stdout.write(f"{said_of(before, fitted)}\n{training.settings_file}\n")
