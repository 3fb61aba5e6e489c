"""Settings of a config that trains: which of them make the training what it is, and how they differ from its file."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.config_files import ConfigFiles
from dwskd_monai.bundle.decisive import is_plain
from dwskd_monai.bundle.overrides import as_id, parts_of
from dwskd_monai.bundle.places import PLACES
from dwskd_monai.bundle.running import OF_TRACKING

# A training may be continued with other values of these. Images may lie elsewhere: their contents are compared.
MAY_CHANGE = (
    *PLACES, *OF_TRACKING, "teacher_weights", "resume", "device", "num_workers", "verbose", "backend",
    "timeout_minutes", "not_first", "max_epochs", "strict", "skip_refused",
)  # fmt: skip
_OF_A_RUN = frozenset(MAY_CHANGE) - {"max_epochs", "teacher_weights"}  # how one run was started
_SPLITS = ("train", "validate")
_WIRING = (
    "initialize",
    "run",
    "finalize",
    "training",
    "training_state_objects",
    "trained_settings",
)
# Of a split: lists of images and of handlers, which MONAI Label overrides, and what several processes are given
_OTHER_PARTS = ("data", "handlers", "network", "sampler", "shuffle")
# Recorded apart: which images are trained on, and what is fitted to the network's predictions afterwards
CHOICE_OF_IMAGES = ("seed", "fold", "folds", "train_fraction")
_EVIDENCE = ("calibrate", "operating_point", "prediction_set", "novelty")
_SHARES = ("distillation_epochs", "independent_epochs", "label_epochs")  # or numbers, which are whole
_MISSING = object()
_NO_PATH = ("$", "@", "%", "hf-hub:", "hf_hub:")  # expressions, and timm's names of networks on a hub
_NO_FILE = ("pretrained", "random")  # in place of the teacher's file
_OF_FILES = (".pt", ".pth", ".safetensors", ".bin", ".npz", ".csv", ".json", ".yaml", ".yml", ".txt")
_OF_A_PACK = "train#unlabeled#required"  # which pack sets to false
_SEVERAL = "multi_gpu_train.yaml"


def digest_of_training(overrides: Mapping[str, Any], folder: Path, decisive: Collection[str]) -> str:
    """A digest of the settings of ``train.yaml``, with those of a training, that make it what it is.

    Args:
        overrides: as a training records them, :func:`changed_settings`.
        folder: of the bundle.
        decisive: roots that are recorded anyway, since they decide a prediction; they are left out.
    """
    file = folder / "configs" / "train.yaml"
    settings = (settings_of(_resolved(file)) if file.is_file() else {}) | settings_to_repeat(overrides, folder)
    left_out = {*decisive, *CHOICE_OF_IMAGES, *_EVIDENCE, _OF_A_PACK}
    if settings.get("auxiliary_def") == settings.get("network_def"):
        left_out.add("auxiliary_def")  # a copy, of what is decisive
    kept = {
        key: value
        for key, value in settings.items()
        if not may_change(key) and key not in left_out and parts_of(key)[0] not in left_out
    }
    return hashlib.sha256(json.dumps(kept, sort_keys=True, default=str).encode()).hexdigest()


def was_edited(origin: Mapping[str, Any], folder: Path, decisive: Collection[str]) -> bool:
    """Whether ``train.yaml`` has other settings than when a network was trained; False if nothing tells.

    Args:
        origin: what the network's settings record of its training.
        folder, decisive: as of :func:`digest_of_training`.
    """
    before = origin.get("settings_sha256")  # an earlier version wrote none
    return before not in (None, digest_of_training(origin["overrides"], folder, decisive))


def settings_to_repeat(overrides: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Recorded settings that another training may take over, in one process and on any machine.

    Left out is how one run was started: that it was resumed, its device, and what joined several processes.

    Args:
        overrides: as a training records them.
        folder: of the bundle.
    """
    wiring = _of_several_processes(folder / "configs")
    return {
        key: value
        for key, value in overrides.items()
        if parts_of(key)[-1] not in _OF_A_RUN and (key not in wiring or wiring[key] != value)
    }


def _of_several_processes(configs: Path) -> dict[str, Any]:
    """The settings with which several processes train together; none if a bundle has no config for that."""
    train, file = configs / "train.yaml", configs / _SEVERAL
    if not (train.is_file() and file.is_file()):
        return {}
    joined = settings_of(_resolved(train, file))
    return {key: joined[key] for key in map(as_id, ConfigFiles.load_config_file(file)) if key in joined}


def may_change(key: str) -> bool:
    """Whether a training may be continued with another value of a setting."""
    return parts_of(key)[-1] in MAY_CHANGE


def settings_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of a config as they are written: its top level, and the parts of ``train`` and ``validate``."""
    settings: dict[str, Any] = {}
    for key, value in config.items():
        if key in _SPLITS:
            settings |= dict(_parts(key, value))
        elif not key.startswith("_") and key not in _WIRING:
            settings[key] = value
    return settings


def _parts(key: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The values inside of a map, by their ids; lists are values."""
    if not isinstance(value, Mapping):
        yield key, value
        return
    for name, part in value.items():
        if name not in _OTHER_PARTS:
            yield from _parts(f"{key}#{name}", part)


def changed_settings(settings: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Settings that differ from those of a bundle's ``train.yaml``, or are not in it, also paths on this machine.

    Args:
        settings: of :func:`settings_of`.
        folder: of the bundle.
    """
    file = folder / "configs" / "train.yaml"
    default = settings_of(_resolved(file)) if file.is_file() else {}
    return {
        key: value
        for key, value in settings.items()
        if is_plain(value) and not same_setting(key, value, default.get(key, _MISSING))
    }


def same_setting(key: str, one: Any, other: Any) -> bool:
    """Whether two values of a setting mean the same; one epoch is something else than a share of 1.0."""
    return bool(one == other) and (parts_of(key)[-1] not in _SHARES or type(one) is type(other))


def _resolved(*files: Path) -> Mapping[str, Any]:
    """The content of configs as a workflow has it, in which MONAI has rewritten ids and put macros in."""
    parser = ConfigFiles()
    parser.read_config([str(file) for file in files])
    parser.resolve_macro_and_relative_ids()
    content: Mapping[str, Any] = parser.get()
    return content


def without_places(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Settings without those that are, or contain, a path on this machine."""
    return {
        key: value
        for key, value in settings.items()
        if as_id(key) not in (*PLACES, *OF_TRACKING) and not _has_path(value) and not _is_teachers_file(key, value)
    }


def _is_teachers_file(key: str, value: Any) -> bool:
    return key == "teacher_weights" and value not in _NO_FILE and not str(value).startswith(_NO_PATH)


def not_recorded(changed: Mapping[str, Any]) -> list[str]:
    """Changed settings that are left out of what is recorded, since a part of them is a path on this machine.

    Where images and results lie is no such setting, nor is the teacher's file, of which a digest is recorded.
    """
    kept = without_places(changed)
    return sorted(key for key in changed if key not in kept and not may_change(key) and parts_of(key)[0] != "refused")


def _has_path(value: Any) -> bool:
    if isinstance(value, Mapping):
        return any(map(_has_path, value.values()))
    if isinstance(value, (list, tuple)):
        return any(map(_has_path, value))
    if not isinstance(value, str) or value.startswith(_NO_PATH):
        return False
    is_file = Path(value).suffix in _OF_FILES and (os.sep in value or os.path.exists(value))
    is_folder = os.sep in value and os.path.exists(value)  # one may be named as a word, such as both
    return os.path.isabs(value) or "://" in value or is_file or is_folder
