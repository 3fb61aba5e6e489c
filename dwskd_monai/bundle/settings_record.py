"""What a training writes beside its weights: :mod:`~dwskd_monai.bundle.trained_settings`."""

from __future__ import annotations

import hashlib
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from monai.bundle import ConfigParser

from dwskd_monai.bundle.decisive import decisive_settings, is_plain
from dwskd_monai.bundle.overrides import as_id, parts_of
from dwskd_monai.bundle.running import OF_TRACKING, evaluating_parser, find_bundle_root, overrides_of_run
from dwskd_monai.bundle.settings_file import digest_of, settings_beside, versions, write_settings
from dwskd_monai.class_order import in_order

# Where files lie on the machine of a training
PLACES = ("bundle_root", "dataset_dir", "output_dir", "ckpt_dir", "checkpoint", "training_state", "cache_dir")
# A training may go on with others of these. Images may lie elsewhere: they are compared by their contents.
MAY_CHANGE = (
    *PLACES, *OF_TRACKING, "teacher_weights", "resume", "device", "num_workers", "verbose", "backend", "not_first",
    "is_not_rank0", "max_epochs",
)  # fmt: skip
_WIRING = (
    "train",
    "validate",
    "initialize",
    "run",
    "finalize",
    "training",
    "training_state_objects",
    "trained_settings",
)
_LISTS = ("data", "handlers")  # of images and of objects, which MONAI Label overrides
_CHOICE_OF_IMAGES = ("seed", "fold", "folds", "train_fraction")


class Images(Protocol):
    """A dataset that can tell what its images are."""

    def contents(self) -> Sequence[tuple[str, int | None]]:
        """The digest of the content of each image, and its label."""


class SettingsRecord:
    """All that decides the predictions of what is trained, and where it comes from.

    Digests of images and of the teacher's file are kept, and neither paths nor patients.

    Args:
        training: the images that are trained on.
        validation: the images that are validated on.
        teacher: timm name of the large network; None if there is none.
        teacher_weights: as :func:`~dwskd_monai.training.create_teacher` takes them.

    Raises:
        RuntimeError: if no config is being evaluated, whose settings these could be.
    """

    def __init__(
        self, training: Images, validation: Images, teacher: str | None = None, teacher_weights: str | None = None
    ) -> None:
        parser = evaluating_parser()
        if parser is None:
            raise RuntimeError(
                "SettingsRecord is a part of a config: the settings that it records are those of the config"
            )
        images = {"training": training, "validation": validation}  # what they are now: files may change meanwhile
        self._contents = {split: list(one.contents()) for split, one in images.items()}
        self._settings = decisive_settings(parser)
        self._config = _tunables(parser)
        metadata = parser.get("_meta_") or {}
        self._classes = in_order(parser.get_parsed_content("class_names"))
        self._training = {
            "bundle": {"name": metadata.get("name"), "version": metadata.get("version")},
            "overrides": _overrides(self._config),
            **{key: parser[key] for key in _CHOICE_OF_IMAGES if key in parser},
            "teacher": {"model_name": teacher, "sha256": _digest_of_teacher(teacher_weights)},
            "versions": versions(),
        }

    def file_of(self, weights: Path) -> Path:
        """Where the settings of a file of weights are."""
        return settings_beside(weights)

    def write(self, file: Path, weights: Path, best: Mapping[str, Any]) -> None:
        """Write the settings of weights that were saved.

        Args:
            file: to write.
            weights: the file of the state dict.
            best: ``epoch``, ``metric`` and ``value`` by which they were chosen.
        """
        contents = self._contents
        listing = "".join(
            f"{split} {content} {label}\n" for split in contents for content, label in sorted(contents[split])
        )
        images = {split: [content for content, _ in contents[split]] for split in contents}
        origin = {
            "best": dict(best),
            **self._training,
            "datalist_sha256": hashlib.sha256(listing.encode()).hexdigest(),
            "images": images,
        }
        write_settings(file, weights, self._settings, self._classes, origin)

    def state_dict(self) -> dict[str, Any]:
        """What a training that is resumed must have too."""
        kept = {key: value for key, value in self._config.items() if key == "max_epochs" or key not in MAY_CHANGE}
        return {"config": kept, "images": self._all_contents()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Compare with what the training had that is resumed.

        Raises:
            ValueError: if settings or images are others; the message lists them.
        """
        former = state["config"]
        differences = [
            f"{key}: {former.get(key)!r}, now {self._config.get(key)!r}"
            for key in sorted({*former, *self._config} - set(MAY_CHANGE))
            if former.get(key) != self._config.get(key)
        ]
        if self._config.get("max_epochs", 0) < former.get("max_epochs", 0):
            differences.append(f"max_epochs: {former['max_epochs']}, now only {self._config['max_epochs']}")
        for split, contents in self._all_contents().items():
            before, now = (Counter(map(tuple, images)) for images in (state["images"][split], contents))
            if before != now:
                gone, new = (before - now).total(), (now - before).total()
                differences.append(f"{split} images: {gone} of {before.total()} are gone, {new} new")
        if differences:
            raise ValueError(
                f"settings differ from those of the training: {'; '.join(differences)}. Resume with the same, or train "
                "anew without resume"
            )

    def _all_contents(self) -> dict[str, list[list[Any]]]:
        return {split: [list(pair) for pair in contents] for split, contents in self._contents.items()}


def _tunables(parser: ConfigParser) -> dict[str, Any]:
    """Settings at the top level of a config, with their values as they are written."""
    return {key: value for key, value in parser.get().items() if not key.startswith("_") and key not in _WIRING}


def _overrides(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that the bundle's ``train.yaml`` has another value for, or none; where files lie is left out."""
    file = Path(find_bundle_root()) / "configs" / "train.yaml"
    default = ConfigParser.load_config_file(str(file)) if file.is_file() else {}
    changed = {key: value for key, value in config.items() if key not in default or default[key] != value}
    wiring = {
        key: value
        for key, value in overrides_of_run().items()
        if parts_of(key)[0] in _WIRING and not key.endswith(_LISTS)
    }
    return without_places({key: value for key, value in {**changed, **wiring}.items() if is_plain(value)})


def without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that tell where something lies on this machine, whole or in a part."""
    return {
        key: value
        for key, value in settings.items()
        if as_id(key) not in (*PLACES, *OF_TRACKING) and not _has_path(value)
    }


def _has_path(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_path, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_path, value))
    if not isinstance(value, str) or value.startswith(("$", "@", "%")):
        return False
    return os.path.isabs(value) or "://" in value or os.sep in value or os.path.exists(value)


def _digest_of_teacher(weights: str | None) -> str | None:
    return digest_of(weights) if weights is not None and Path(weights).is_file() else None
