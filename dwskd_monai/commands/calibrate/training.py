"""The training of a bundle, to be repeated with other images."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from dwskd_monai import checkpoints
from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.decisive import decisive_settings
from dwskd_monai.bundle.settings_file import digest_of, read_settings, settings_beside
from dwskd_monai.bundle.settings_record import digest_of_datalist, learned_by
from dwskd_monai.bundle.trained_settings import TrainedSettings
from dwskd_monai.bundle.training_config import (
    CHOICE_OF_IMAGES,
    MAY_CHANGE,
    digest_of_training,
    same_setting,
    settings_to_repeat,
    was_edited,
)
from dwskd_monai.data.evaluation_split import digests_of, listed_digests
from dwskd_monai.training.both_students import is_of_training, progress_of, was_interrupted

_MAY_BE_GIVEN = frozenset(MAY_CHANGE) - {"max_epochs", "resume"}
# The network stays where it is; what was held out from it is not among the images that it learned from
_NOT_REPEATED = ("checkpoint", "ckpt_dir", "held_out_dir")
Items = list[dict[str, Any]]


class RepeatedTraining:
    """How a bundle's network was trained, as its settings record it, and the images of that training.

    Args:
        folder: of the bundle.
        dataset_dir: the labeled images; None: those that the bundle names.
        given: paths and places, which the settings do not record.

    Raises:
        FileNotFoundError: if the bundle is not there or has not been trained.
        ValueError: if the settings record no training, a setting would make it another one, train.yaml has been changed
            since, or the images, their labels or the teacher are others.
    """

    def __init__(self, folder: str | Path, dataset_dir: str | None, given: Mapping[str, Any]) -> None:
        places = Bundle(folder, given)
        places.refuse_unknown_overrides("calibrate", "train")
        self.trained: TrainedSettings = read_settings(places.checkpoint)
        self.weights = places.checkpoint
        if not self.trained.images["training"]:
            raise ValueError(
                f"{settings_beside(self.weights)} records no training (dwskd settings wrote it), so none "
                "can be repeated; train the bundle with dwskd train"
            )
        self.given = {key: value for key, value in places.overrides.items() if key not in _NOT_REPEATED}
        if left_out := self.trained.origin.get("not_recorded"):
            raise ValueError(
                f"{', '.join(left_out)}: set to a path in the training of {self.weights}, so not recorded, and the "
                "training cannot be repeated; put it into train.yaml, and train the bundle again"
            )
        self._refuse_part_of_a_training(places)
        self._refuse_other_settings()
        recorded = settings_to_repeat(self.trained.origin["overrides"], places.folder)
        if self.refused_images:
            recorded["skip_refused"] = True  # as in the training
        choice = {key: self.trained.origin[key] for key in CHOICE_OF_IMAGES if key in self.trained.origin}
        self.bundle = Bundle(folder, {**recorded, **choice, **self.given})
        self.dataset_dir = str(self.bundle.parsed("dataset_dir", "train")) if dataset_dir is None else dataset_dir
        self.settings: dict[str, Any] = {**recorded, **choice, **self.given, "dataset_dir": self.dataset_dir}
        self._refuse_another_config()
        self._settings_then = self._settings_now()
        self._refuse_other_teacher()
        self._refuse_another_start()
        self._refuse_other_unlabeled()
        self._refuse_other_images()
        self._refuse_other_labels()

    def refuse_changes(self) -> None:
        """Raise ValueError if the settings or the network are others than when this object was made."""
        config = self.bundle.folder / "configs" / "train.yaml"
        now = {config: self._settings_now(), self.weights: digest_of(self.weights)}
        before = {config: self._settings_then, self.weights: self.trained.sha256}
        for file in now:
            if now[file] != before[file]:
                raise ValueError(
                    f"{file} was changed while the folds were trained; put it back, and start the command again: folds "
                    "that are finished are kept"
                )

    def _settings_now(self) -> tuple[str, dict[str, Any]]:
        """What decides the training of a fold, as train.yaml has it at this moment."""
        config = Bundle(self.bundle.folder, self.bundle.overrides).config("train")
        return self._digest_of_config(self.trained.origin["overrides"]), decisive_settings(config)

    @property
    def settings_file(self) -> Path:
        """The file of the settings of the bundle's network."""
        return settings_beside(self.weights)

    @cached_property
    def folds(self) -> list[int]:
        """The numbers of the folds that the images are divided into.

        Raises:
            ValueError: if the data names folds, but not of all images: nothing could predict those without one.
        """
        named = self.bundle.named_folds(self.dataset_dir)
        without = named.pop(None, 0)
        if named and without:
            raise ValueError(
                f"dataset_dir: {self.dataset_dir} names folds, but {without} training images have none, so no network "
                "could predict them; give each image a fold, or none"
            )
        return sorted(fold for fold in named if fold is not None) or list(range(self.bundle.parsed("folds", "train")))

    @cached_property
    def items(self) -> Items:
        """The training and validation images.

        Raises:
            ValueError: if the data names its validation images, so that there are no folds.
        """
        last = self.folds[-1]  # refused if the data names its validation images
        splits = ("training", "validation")
        return [item for split in splits for item in self.bundle.items(self.dataset_dir, split, last)]

    @cached_property
    def _digests(self) -> list[str]:
        return digests_of(self.items, self.bundle.parsed("cache_dir", "train"))

    def identity(self) -> dict[str, Any]:
        """What trainings of the folds must have in common with those that are there already."""
        origin = self.trained.origin
        decisive = {key: value for key, value in self.settings.items() if key not in _MAY_BE_GIVEN}
        images = {part: sorted(self.trained.images[part] or ()) for part in ("unlabeled", "earlier")}
        return {
            "settings": decisive,
            "config": self._digest_of_config(self.trained.origin["overrides"]),
            "teacher": origin.get("teacher"),
            "images": sorted(self._labeled()),
            "folds": self._digest_of_folds(),
            **images,
        }

    def _digest_of_folds(self) -> str:
        """Which images are in which fold, with which label; a corrected patient moves images to other folds."""
        digests = {item["image"]: digest for item, digest in zip(self.items, self._digests, strict=True)}
        folds = {}
        for fold in self.folds:
            items = self.bundle.items(self.dataset_dir, "validation", fold)
            folds[str(fold)] = [(digests[item["image"]], item["label"]) for item in items]
        return digest_of_datalist(folds)

    @property
    def refused_images(self) -> int:
        """How many labeled images the training could not use, with ``skip_refused``."""
        return sum(self.trained.origin.get("refused_images", {}).values())

    def _labeled(self) -> set[str]:
        """Digests of the labeled images of the training."""
        return {digest for part in ("training", "validation") for digest in self.trained.images[part] or ()}

    def _refuse_part_of_a_training(self, places: Bundle) -> None:
        """The trainings of the folds go on to their end, so they would be better than the network."""
        if self.trained.origin.get("before_restart"):
            raise ValueError(
                f"{self.weights}: the network is from before main started again, and learned from the labels alone; "
                "calibrate the network of the end of the training, models/model.pt, or continue the training: "
                "dwskd train … --resume true"
            )
        file = Path(str(places.parsed("training_state", "train")))
        beside = file.is_file() and file.resolve().parent == self.weights.resolve().parent  # else of another training
        state = checkpoints.load(file) if beside else {}
        own = is_of_training(state, self.trained.images["training"] or [], self.trained.origin)
        if own and was_interrupted(state):
            epoch, epochs = progress_of(state)
            raise ValueError(
                f"{self.weights}: its training was interrupted after epoch {epoch} of {epochs} ({file}); continue it: "
                "dwskd train … --resume true"
            )

    def _refuse_other_settings(self) -> None:
        """A setting is that of the training; only paths and places may be given."""
        recorded = {**self.trained.origin["overrides"], **self.trained.origin}
        for key, value in self.given.items():
            if key not in _MAY_BE_GIVEN and (key not in recorded or not same_setting(key, recorded[key], value)):
                raise ValueError(
                    f"{key}: calibrate repeats the training of {self.weights} with the settings that it had; leave "
                    f"{key} out, or train the bundle again with it"
                )

    def _digest_of_config(self, overrides: Mapping[str, Any]) -> str:
        return digest_of_training(overrides, self.bundle.folder, self.trained)

    def _refuse_another_config(self) -> None:
        """What the training took from train.yaml is not recorded; it must be there still."""
        there = decisive_settings(self.bundle.config("train"))
        changed = [key for key in there if there[key] != self.trained.get(key)]  # a pack may have fewer
        if changed or was_edited(self.trained.origin, self.bundle.folder, self.trained):
            named = f" ({', '.join(changed)})" if changed else ""
            raise ValueError(
                f"{self.bundle.folder / 'configs' / 'train.yaml'}: its settings are not those of the training{named}; "
                "put them back as they were, or train the bundle again"
            )

    def _refuse_other_teacher(self) -> None:
        expected = (self.trained.origin.get("teacher") or {}).get("sha256")
        file = Path(str(self.bundle.parsed("teacher_weights", "train")))
        found = digest_of(file) if file.is_file() else None
        if expected != found:
            was = "timm's, or random" if expected is None else f"a file with digest {expected[:12]}…"
            raise ValueError(
                f"teacher_weights: the training started from weights that were {was}; got {file}. Give the same: "
                "--teacher_weights"
            )

    @cached_property
    def _learned_by_teacher(self) -> set[str] | None:
        """Digests of the images that the teacher's file has learned from, labels of the task too; None: unknown."""
        file = Path(str(self.bundle.parsed("teacher_weights", "train")))
        return learned_by(file) if file.is_file() and settings_beside(file).is_file() else set()

    def _refuse_another_start(self) -> None:
        """A training that went on from another network, as in MONAI Label, cannot be repeated from the teacher."""
        earlier, learned = self.trained.images["earlier"], self._learned_by_teacher
        of_others = learned is not None and (earlier is None or not learned.issuperset(earlier))
        if of_others or "started_from" in self.trained.origin:
            raise ValueError(
                f"{self.weights}: its training started from a network of an earlier training, which calibrate cannot "
                "repeat; train the bundle from its teacher"
            )

    @property
    def start(self) -> str:
        """What the weights that the folds start from know of the images, in words; empty: nothing."""
        if self._learned_by_teacher is None:
            return "; it is unknown whether the starting weights had already learned from these images"
        seen, count = len(self._labeled() & self._learned_by_teacher), len(self._labeled())
        if not seen:
            return ""
        return (
            f"; the starting weights had already learned from {seen} of these {count} images, so these estimates are "
            "optimistic"
        )

    def _refuse_other_unlabeled(self) -> None:
        place = self.given.get("unlabeled_dir")
        used = "unlabeled" in self.trained.origin
        if used != (place is not None):
            raise ValueError(
                "unlabeled_dir: the training learned from "
                + (
                    "images without labels; give them again: --unlabeled_dir DIR"
                    if used
                    else "no images without labels"
                )
            )
        if place is None:
            return
        learned = self.trained.images["unlabeled"]
        if learned is None:
            raise ValueError(
                f"{settings_beside(self.weights)} does not record from which images without labels the network has "
                "learned (an earlier version wrote it); train the bundle again"
            )
        cache_dir = self.bundle.parsed("cache_dir", "train")
        listed = listed_digests(place, cache_dir, setting="unlabeled_dir", **self.bundle.listing())
        if gone := len(set(learned).difference(listed)):
            raise ValueError(
                f"unlabeled_dir: of the {len(learned)} images without labels of the training, {gone} are not in "
                f"{place}; give the folder that the training had"
            )

    def _refuse_other_images(self) -> None:
        digests = set(self._digests)
        gone = self._labeled() - digests
        new = set() if self.bundle.parsed("train_fraction", "train") < 1 else digests - self._labeled()
        if gone or len(new) > self.refused_images:
            raise ValueError(
                f"dataset_dir: {self.dataset_dir} has not the images of the training: of {len(self._labeled())}, "
                f"{len(gone)} are gone, and {len(new)} others are there. Give those of the training"
            )

    def _refuse_other_labels(self) -> None:
        labels = {digest: item["label"] for item, digest in zip(self.items, self._digests, strict=True)}
        contents: dict[str, list[tuple[str, int | None]]] = {}
        for split, digests in self.trained.origin["images"].items():
            if split in ("training", "validation"):
                contents[split] = [(digest, labels[digest]) for digest in digests]
            elif split == "unlabeled":
                contents[split] = [(digest, None) for digest in digests]
        if digest_of_datalist(contents) != self.trained.origin["datalist_sha256"]:
            raise ValueError(
                f"dataset_dir: {self.dataset_dir} has other labels than the training had; give those, or train the "
                "bundle again"
            )
