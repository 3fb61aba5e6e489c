"""A trained bundle, opened to judge studies."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.transforms import Compose

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.lock import require_alone
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.suggest.committee import open_committee
from dwskd_monai.data.datalist import load_split
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.data.slices import SliceDataset
from dwskd_monai.files import set_aside
from dwskd_monai.folders import require_writable

REFUSED, REFUSED_LABELED, REFUSED_HELD_OUT = "refused.csv", "refused_labeled.csv", "refused_held_out.csv"
_CONFIG = "inference"


class Judges:
    """A trained bundle whose networks judge studies as it predicts them.

    Args:
        folder: of the bundle.
        overrides: keys of its ``inference.yaml`` or ``train.yaml``.

    Raises:
        FileNotFoundError: if the bundle has not been trained, or the override ``training_state`` names no file.
        ValueError: for an unknown override, one that contradicts the training, or weights that do not fit.
    """

    def __init__(self, folder: str | Path, overrides: Mapping[str, Any]) -> None:
        self.bundle = Bundle(folder, overrides)
        self.bundle.refuse_unknown_overrides("suggest", _CONFIG, "train")
        self.trained = TrainedBundle(self.bundle)
        self.committee = open_committee(self.trained, self._training_state())

    @property
    def weights(self) -> Path:
        """The file of the deployed network."""
        return self.trained.weights

    @property
    def class_names(self) -> list[str]:
        """In the order of the networks' outputs."""
        return self.trained.settings.class_names

    def setting(self, key: str, config: str = _CONFIG) -> Any:
        """What the bundle's config, with the overrides, makes of a key."""
        return self.bundle.parsed(key, config)

    def listing(self) -> dict[str, Any]:
        """How the bundle lists images."""
        return self.bundle.listing(_CONFIG)

    def patients(self) -> dict[str, Any]:
        """Where the bundle finds patients that a datalist does not name."""
        return {name: bool(self.setting(name, "train")) for name in ("dicom_patients", "folder_patients")}

    def labeled_items(self, dataset_dir: str, refused: RefusedImages) -> list[dict[str, str | int]]:
        """All labeled images of a source, whatever their split, listed as the training lists them.

        Raises:
            FileNotFoundError, ValueError: as :func:`~dwskd_monai.data.datalist.load_split`.
        """
        return load_split(
            dataset_dir, self.class_names, "all", **self.listing(), **self.patients(), refused=refused
        )  # fmt: skip

    def read(self, items: Sequence[Mapping[str, Any]], refused: RefusedImages) -> SliceDataset:
        """All slices of images, prepared as at inference and kept in the training's cache; with a progress bar.

        Raises:
            ValueError: if no image can be used.
        """
        return SliceDataset(
            items,
            Compose(self.setting("study_transforms")),
            cache_dir=self.setting("cache_dir", "train"),
            num_workers=int(self.setting("num_workers")),
            refused=refused,
        )

    def output_folder(self, out: str | None, name: str) -> Path:
        """The folder for what is written.

        Args:
            out: the folder that was asked for; None: a folder of the bundle.
            name: of this folder.
        """
        return self.bundle.folder / "eval" / name if out is None else Path(out)

    def begin(self, folder: Path, name: str) -> RefusedImages:
        """Take a folder for what is written; results of an earlier run are renamed to ``<stem>.previous<suffix>``.

        Args:
            folder: no other run may write there as long as these judges live.
            name: of the results.

        Returns:
            The list of images that cannot be used.

        Raises:
            UnusableFolderError: if the folder cannot be written to.
            BlockingIOError: if another run writes there.
        """
        require_writable("out", folder)
        try:
            require_alone(folder, self)
        except BlockingIOError:
            raise BlockingIOError(
                f"out: another run is writing to {folder}; wait for its end, or give this run a folder of its own: "
                "--out DIR"
            ) from None
        for file in (f"{name}.csv", f"{name}.png", f"{name}.json", REFUSED, REFUSED_LABELED, REFUSED_HELD_OUT):
            set_aside(folder / file)
        refused = RefusedImages(folder / REFUSED, strict=bool(self.setting("strict")))
        refused.begin()
        return refused

    def _training_state(self) -> Path | None:
        """The file that holds the students: the one that was asked for, or the one beside weights that were."""
        setting = self.setting("training_state", "train")
        if setting is None:
            return None
        file = Path(setting)
        if "training_state" not in self.bundle.overrides:
            return self.trained.models / file.name if "checkpoint" in self.bundle.overrides else file
        if not file.is_file():
            raise FileNotFoundError(
                f"training_state: {file} does not exist; give the file of the training, or use the deployed network "
                "alone: --training_state null"
            )
        return file
