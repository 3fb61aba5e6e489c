"""A training and a prediction for each fold."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.monai_command import run_monai
from dwskd_monai.commands.calibrate.training import RepeatedTraining
from dwskd_monai.data.refused import RefusedImagesError
from dwskd_monai.evaluation.prediction_files import LabeledPredictions, read_predictions
from dwskd_monai.files import read_json, replacing, write_json
from dwskd_monai.folders import require_writable

_IDENTITY = "trainings.json"
_PREDICTED = "predictions.csv"
# The fold that is predicted chooses nothing: it is looked at after the last epoch only, main is deployed, and
# nothing is fitted to it
_CHOOSES_NOTHING: Mapping[str, Any] = {
    "calibrate": False,
    "operating_point": None,
    "prediction_set": None,
    "novelty": None,
}
_OF_A_PREDICTION = (
    "device", "num_workers", "cache_dir", "ignored_columns", "dicom_patients", "folder_patients",
)  # fmt: skip
_WITHOUT_REPORT: Mapping[str, Any] = {"split": "validation", "report": False, "shortcuts": False, "explained": 0}


class FoldTrainings:
    """Trainings of all folds of a bundle's images.

    Args:
        training: that of the bundle.
        folder: of the trainings; None: beside the bundle's weights.

    Raises:
        ValueError: if the folder has trainings with other settings or images.
    """

    def __init__(self, training: RepeatedTraining, folder: Path | None = None) -> None:
        self.training = training
        self.folder = training.weights.parent / "out_of_fold" if folder is None else folder
        require_writable("out", self.folder)
        self._refuse_others()

    def predictions(self) -> LabeledPredictions:
        """Those of all studies, each by the training whose validation fold it is in; missing trainings are made."""
        for fold in self.training.folds:
            if not self._file(fold).is_file():
                self.training.refuse_changes()
                self._train(fold)
                self._predict(fold)
        files = [self._file(fold) for fold in self.training.folds]
        return read_predictions(files, self.training.trained.class_names)

    def _refuse_others(self) -> None:
        file = self.folder / _IDENTITY
        wanted = self.training.identity()
        if not file.is_file():
            write_json(file, wanted)
            return
        there = read_json(file)
        differing = sorted(key for key in {*there, *wanted} if there.get(key) != wanted.get(key))
        if differing:
            raise ValueError(
                f"out: {self.folder} has trainings with other {', '.join(differing)}; give another folder, or remove it"
            )

    def _file(self, fold: int) -> Path:
        """The predictions of a fold; it is written last."""
        return self.folder / f"fold{fold}" / _PREDICTED

    def _places(self, fold: int) -> dict[str, str]:
        folder = self._file(fold).parent
        return {"ckpt_dir": str(folder), "output_dir": str(folder / "eval")}

    def _train(self, fold: int) -> None:
        epochs = self.training.bundle.parsed("train#trainer#max_epochs", "train")
        deploy = self.training.bundle.parsed("deploy", "train")
        last = {"fold": fold, "val_interval": epochs, "deploy": "main" if deploy == "better" else deploy}
        settings = {**self.training.settings, **last, **_CHOOSES_NOTHING, **self._places(fold), "resume": False}
        settings |= self._unlabeled()
        run_monai(self.training.bundle.folder, ["train"], settings, "training")

    def _predict(self, fold: int) -> None:
        places = self._places(fold)
        settings = {"dataset_dir": self.training.dataset_dir, **self._taken_over(), **places, **_WITHOUT_REPORT}
        try:
            run_monai(self.training.bundle.folder, ["train", "evaluate"], settings)
        except SystemExit as ended:
            if ended.code != RefusedImagesError.exit_code:  # the training left these out too
                raise
        self.training.refuse_changes()  # since the training of this fold began
        with replacing(self._file(fold)) as temporary:
            temporary.write_bytes((Path(places["output_dir"]) / _PREDICTED).read_bytes())

    def _unlabeled(self) -> dict[str, str]:
        """Images without labels are those of the training, whatever else lies in ``unlabeled_dir`` by now."""
        learned = self.training.trained.images["unlabeled"]
        if not learned:
            return {}
        file = self.folder / "unlabeled.json"
        write_json(file, {"images": sorted(learned)})
        return {"train#unlabeled#only": str(file)}

    def _taken_over(self) -> dict[str, Any]:
        """Where to compute and how images are listed, as it was given, or in the training."""
        return {key: self.training.settings[key] for key in _OF_A_PREDICTION if key in self.training.settings}
