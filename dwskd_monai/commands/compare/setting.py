"""What all runs of a grid share, and what a finished run was made from."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.places import PLACES
from dwskd_monai.bundle.settings_file import digest_of
from dwskd_monai.commands.compare.methods import Method
from dwskd_monai.commands.compare.runs import Run
from dwskd_monai.files import read_json

SETTINGS = "settings.json"  # in the folder of a run
UNLABELED = "unlabeled_dir"
HELD_OUT = "held_out_dir"
_TEACHER = "teacher_weights"


@dataclass(frozen=True)
class Setting:
    """What all runs of a grid share.

    Args:
        bundle: folder of the bundle.
        dataset_dir: training and validation images.
        out: folder of the results.
        folds: number of folds; None: that of the config, or the validation images that the data names.
        demo: apply demo.yaml.
        test_dir: labeled images that each run is evaluated on once, at its end.
        overrides: ids of the config and values, for all methods; ``ID@FRACTION`` for one fraction only.
        kept: methods whose best network is kept when a run is finished.
        data_hash: digest of the images and their labels.
        test_hash: digest of the images of ``test_dir``.
        unlabeled_hashes: digests of the images without labels, of each fraction that has any.
    """

    bundle: Path
    dataset_dir: Path
    out: Path
    folds: int | None = None
    demo: bool = False
    test_dir: Path | None = None
    overrides: Mapping[str, Any] = field(default_factory=dict, hash=False)
    kept: frozenset[str] = frozenset()
    data_hash: str = ""
    test_hash: str = ""
    unlabeled_hashes: Mapping[float, str] = field(default_factory=dict, hash=False)

    def configs(self, method: Method, *more: str) -> list[Path]:
        """The config files with which a method is run."""
        names = [*method.configs, *(["demo.yaml"] if self.demo else []), *more]
        return [self.bundle / "configs" / name for name in names]

    def overrides_of(self, run: Run) -> dict[str, Any]:
        """What a run changes in the config, in addition to its method."""
        overrides = overrides_at(self.overrides, run.fraction)
        if not run.method.unlabeled:
            overrides.pop(UNLABELED, None)
            overrides.pop(HELD_OUT, None)
        elif UNLABELED in overrides and self.test_dir is not None:
            if HELD_OUT in overrides:
                raise ValueError("held_out_dir: the images of test_dir are held out already; leave one of the two out")
            overrides[HELD_OUT] = str(self.test_dir)
        overrides |= {"seed": run.seed, "fold": run.fold, "train_fraction": run.fraction}
        if self.folds is not None:
            overrides["folds"] = self.folds
        if run.learning_rate is not None:
            overrides["learning_rate"] = run.learning_rate
        return overrides | {"dataset_dir": str(self.dataset_dir)}

    def identity(self, run: Run) -> dict[str, Any]:
        """What the results of a run depend on; if anything here differs, the results belong to another run."""
        overrides = self.overrides_of(run)
        return {
            "configs": {path.name: _digest(path) for path in self.configs(run.method)},
            "bundle": self.bundle.name,
            "method": dict(run.method.overrides),
            "overrides": {key: _by_content(key, value) for key, value in overrides.items() if key not in PLACES},
            "data": self.data_hash,
            "test": "" if run.tuning else self.test_hash,
            "unlabeled": self.unlabeled_hashes.get(run.fraction, "") if run.method.unlabeled else "",
        }


def overrides_at(overrides: Mapping[str, Any], fraction: float) -> dict[str, Any]:
    """Those that hold for a fraction; its own, ``ID@FRACTION``, come before those of all."""
    of_all: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for key, value in overrides.items():
        name, at, of = key.partition("@")
        if not at:
            of_all[name] = value
        elif float(of) == fraction:
            own[name] = value
    return of_all | own


def places_of_unlabeled(overrides: Mapping[str, Any], fraction: float) -> list[tuple[str, Path]]:
    """The folders and datalists of images without labels, or held out, with their settings, for a fraction."""
    there = sorted(overrides_at(overrides, fraction).items())
    return [(name, Path(value)) for name, value in there if name in (UNLABELED, HELD_OUT) and value is not None]


def refuse_other_settings(folder: Path, identity: Mapping[str, Any]) -> None:
    """Raise if the files in a folder were made with other settings.

    Args:
        folder: of a run.
        identity: what the results of the run would depend on now.

    Raises:
        ValueError: the message names the difference.
    """
    path = folder / SETTINGS
    has_work = any(folder.glob("*.pt")) or (folder / "result.json").is_file()
    if not path.is_file() or not has_work:
        return
    before = read_json(path)
    now = json.loads(json.dumps(identity))
    for part in now:
        if before.get(part, "") != now[part]:
            name, was, new = _first_difference(part, before.get(part, ""), now[part])
            raise ValueError(
                f"{folder}: was run with other settings: {name} was {was}, now it is {new}; give another --out, or "
                "remove this folder to run it again"
            )


def _first_difference(part: str, before: Any, now: Any) -> tuple[str, Any, Any]:
    """Name and the two values of what differs in a part of an identity."""
    if not (isinstance(before, dict) and isinstance(now, dict)):
        return part, before, now
    key = next(key for key in [*now, *before] if now.get(key) != before.get(key))
    return key, before.get(key, "nothing"), now.get(key, "nothing")


def _by_content(key: str, value: Any) -> Any:
    """The value of a setting, with the content of a file of weights in place of its path."""
    if key != _TEACHER or not Path(str(value)).is_file():
        return value
    status = Path(value).stat()
    return _digest_of_weights(str(value), status.st_mtime_ns, status.st_size)


@lru_cache
def _digest_of_weights(path: str, modified: int, size: int) -> str:
    """Read again only if the file has changed: each run of a grid asks."""
    return digest_of(path)


def _digest(path: Path) -> str:
    return hashlib.blake2b(path.read_bytes(), digest_size=8).hexdigest()
