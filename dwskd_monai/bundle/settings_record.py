"""What a training writes beside its weights: :mod:`~dwskd_monai.bundle.trained_settings`."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dwskd_monai.bundle.decisive import decisive_settings
from dwskd_monai.bundle.running import evaluating_parser, find_bundle_root
from dwskd_monai.bundle.settings_file import digest_of, read_settings, settings_beside, versions, write_settings
from dwskd_monai.bundle.trained_settings import LEARNED
from dwskd_monai.bundle.training_config import (
    CHOICE_OF_IMAGES,
    changed_settings,
    digest_of_training,
    may_change,
    not_recorded,
    same_setting,
    settings_of,
    without_places,
)
from dwskd_monai.class_order import in_order

# From which weights a training starts: what is recorded of them, and the setting that names them
_START = ("teacher", "started_from")
_START_SETTINGS = ("teacher_weights",)
_logger = logging.getLogger(__name__)


class Images(Protocol):
    """A dataset that knows the contents of its images."""

    refused_count: int

    def contents(self) -> Sequence[tuple[str, int | None]]:
        """The digest of the content of each image, and its label."""

    def planes(self) -> Mapping[str, int]:
        """How many images were cut in each plane."""


class SoftLabels(Protocol):
    """What is known about images without labels; see ``training.SoftLabels``."""

    agreement: float | None

    @property
    def there(self) -> bool:
        """Whether they have been made; main learns from images without labels only then."""

    def unlabeled_contents(self) -> Sequence[str]:
        """The digest of the content of each image without a label."""


class SettingsRecord:
    """All that decides the predictions of the network that is trained, and where the network comes from.

    It has digests of the images and of the teacher's file, but neither paths nor patients.

    Args:
        training: the images that are trained on.
        validation: the images that are validated on.
        teacher: timm name of the teacher; None if there is none.
        teacher_weights: as :func:`~dwskd_monai.training.create_teacher` takes them.
        soft_labels: the images without labels; None: there are none.
        restarts: whether main starts again once images have soft labels; the record of weights from before says so.

    Raises:
        RuntimeError: if no config is being evaluated.
    """

    def __init__(
        self,
        training: Images,
        validation: Images,
        teacher: str | None = None,
        teacher_weights: str | None = None,
        soft_labels: SoftLabels | None = None,
        restarts: bool = False,
    ) -> None:
        parser = evaluating_parser()
        if parser is None:
            raise RuntimeError(
                "SettingsRecord is a part of a config: the settings that it records are those of the config"
            )
        images = {"training": training, "validation": validation}  # their contents now; files may change later
        self._contents: dict[str, list[tuple[str, int | None]]]
        self._contents = {split: list(one.contents()) for split, one in images.items()}
        self._soft_labels = soft_labels
        self._restarts = restarts
        unlabeled = [] if soft_labels is None else soft_labels.unlabeled_contents()
        self._contents["unlabeled"] = [(content, None) for content in unlabeled]
        self._earlier: set[str] | None = set()
        teacher_file = Path(teacher_weights or "")  # it may be a word
        if teacher_file.is_file() and settings_beside(teacher_file).is_file():  # timm's networks have no settings
            self._take_over(teacher_file)
        self._settings = decisive_settings(parser)
        self._config = settings_of(parser.get())
        metadata = parser.get("_meta_") or {}
        self._classes = in_order(parser.get_parsed_content("class_names"))
        folder = Path(find_bundle_root())
        changed = changed_settings(self._config, folder)
        overrides, left_out = without_places(changed), not_recorded(changed)
        self._training = {
            "bundle": {"name": metadata.get("name"), "version": metadata.get("version")},
            "overrides": overrides,
            **({"not_recorded": left_out} if left_out else {}),
            "settings_sha256": digest_of_training(overrides, folder, self._settings),
            **{key: parser[key] for key in CHOICE_OF_IMAGES if key in parser},
            "refused_images": {split: one.refused_count for split, one in images.items()},
            "planes": dict(training.planes()),
            "teacher": {"model_name": teacher, "sha256": _digest_of_teacher(teacher_weights)},
            "versions": versions(),
        }

    def file_of(self, weights: Path) -> Path:
        """Where the settings of a file of weights are."""
        return settings_beside(weights)

    def start_from(self, weights: Path) -> None:
        """Take over from which images a trained network has learned, because the training goes on from it."""
        self._training["started_from"] = digest_of(weights)
        self._take_over(weights)

    def _take_over(self, weights: Path) -> None:
        learned = learned_by(weights)
        self._earlier = None if learned is None or self._earlier is None else self._earlier | learned
        validation = {content for content, _ in self._contents["validation"]}
        seen = 0 if learned is None else len(learned & validation)
        if os.environ.get("RANK", "0") != "0":
            return
        if learned is None:
            _logger.warning(
                "the training starts from %s, and it is unknown from which images that has learned: its settings are "
                "missing, belong to other weights, or do not list them", weights,
            )  # fmt: skip
        if seen:
            _logger.warning(
                "the training starts from %s, which has learned from %d of the %d validation images, so networks look "
                "better on them than they are", weights, seen, len(validation),
            )  # fmt: skip

    def write(
        self, file: Path, weights: Path, best: Mapping[str, Any], evidence: Mapping[str, Any] | None = None
    ) -> None:
        """Write the settings of weights that were saved.

        Args:
            file: the file to write.
            weights: the file of the state dict.
            best: the ``epoch``, ``metric`` and ``value`` by which the weights were chosen.
            evidence: what was fitted to the validation images; None: nothing.
        """
        contents = self._contents_so_far()
        images: dict[str, list[str] | None]
        images = {split: [content for content, _ in contents[split]] for split in contents}
        learned = {content for split in contents if split in LEARNED for content, _ in contents[split]}
        if self._earlier is None or self._earlier - learned:
            images["earlier"] = None if self._earlier is None else sorted(self._earlier - learned)
        origin = {
            "best": dict(best),
            **self._training,
            "datalist_sha256": digest_of_datalist(contents),
            "images": images,
        }
        if self._restarts and not (self._soft_labels is not None and self._soft_labels.there):
            origin["before_restart"] = True
        if self._soft_labels is not None and "unlabeled" in contents:
            origin["unlabeled"] = {"images": len(contents["unlabeled"]), "agreement": self._soft_labels.agreement}
        fitted = None if evidence is None else dict(evidence) | self._fitted_on(evidence)
        write_settings(file, weights, self._settings, self._classes, origin, fitted)

    def _fitted_on(self, evidence: Mapping[str, Any]) -> dict[str, str]:
        """What the validation images had done before the training, said with what they did in it."""
        validation = {content for content, _ in self._contents["validation"]}
        before = "the network that the training started from had learned from"
        if self._earlier is None:
            return {"fitted_on": f"{evidence['fitted_on']}; it is unknown whether {before} them"}
        seen = len(self._earlier & validation)
        return {"fitted_on": f"{evidence['fitted_on']}; {before} {seen} of the {len(validation)}"} if seen else {}

    def state_dict(self) -> dict[str, Any]:
        """What must be the same if the training is resumed."""
        kept = {key: value for key, value in self._config.items() if key == "max_epochs" or not may_change(key)}
        images = {split: [list(pair) for pair in pairs] for split, pairs in self._contents.items()}
        earlier = None if self._earlier is None else sorted(self._earlier)
        return {"config": kept, "images": images, "earlier": earlier, "start": self._start()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Compare these settings with those of the training that is resumed.

        Raises:
            ValueError: if settings or images differ; the message lists them.
        """
        former = state["config"]
        differences = [
            f"{key}: {former.get(key)!r}, now {self._config.get(key)!r}"
            for key in sorted({*former, *self._config})
            if not same_setting(key, former.get(key), self._config.get(key)) and not may_change(key)
        ]
        if self._config.get("max_epochs", 0) < former.get("max_epochs", 0):
            differences.append(f"max_epochs: {former['max_epochs']}, now only {self._config['max_epochs']}")
        for split, contents in self._contents.items():
            before, now = (Counter(map(tuple, images)) for images in (state["images"][split], contents))
            if before != now:
                gone, new = (before - now).total(), (now - before).total()
                differences.append(f"{split} images: {gone} of {before.total()} are gone, {new} new")
        earlier = state.get("earlier", ())  # a state of an earlier version has none
        self._earlier = None if earlier is None else set(earlier)
        if "start" in state:
            self._take_start(state["start"])
        if differences:
            raise ValueError(
                f"settings differ from those of the training: {'; '.join(differences)}. Resume with the same settings, "
                "or train again without resume"
            )

    def _start(self) -> dict[str, Any]:
        """From which weights the training started; one that is resumed did not start from those that are given then."""
        overrides = self._training["overrides"]
        start = {key: self._training[key] for key in _START if key in self._training}
        return start | {key: overrides[key] for key in _START_SETTINGS if key in overrides}

    def _take_start(self, start: Mapping[str, Any]) -> None:
        given = self._training["teacher"]["sha256"]
        if given not in (None, start["teacher"]["sha256"]) and os.environ.get("RANK", "0") == "0":
            _logger.warning(
                "teacher_weights: this file is not used; the training that goes on started from other weights"
            )
        for keys, content in ((_START, self._training), (_START_SETTINGS, self._training["overrides"])):
            for key in keys:
                content.pop(key, None)
                content.update({key: start[key]} if key in start else {})

    def _contents_so_far(self) -> dict[str, list[tuple[str, int | None]]]:
        """The contents, without those of images without labels until the network learns from them."""
        if self._contents["unlabeled"] and self._soft_labels is not None and self._soft_labels.there:
            return self._contents
        return {split: pairs for split, pairs in self._contents.items() if split != "unlabeled"}


def digest_of_datalist(contents: Mapping[str, Sequence[tuple[str, int | None]]]) -> str:
    """A digest of the images of a training: in each split, the digest of each image's content, and its label."""
    lines = [f"{split} {content} {label}\n" for split in contents for content, label in sorted(contents[split])]
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def learned_by(weights: Path) -> set[str] | None:
    """Digests of the images that the network of a file has learned from; None if its settings do not tell."""
    try:
        images = read_settings(weights).images
    except ValueError:  # there are none, or they are of other weights
        return None
    parts = [images[part] for part in LEARNED]
    return None if not images["training"] or None in parts else set().union(*(part or () for part in parts))


def _digest_of_teacher(weights: str | None) -> str | None:
    return digest_of(weights) if weights is not None and Path(weights).is_file() else None
