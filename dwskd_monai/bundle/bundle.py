"""A bundle as a folder: its metadata, and its configs with what a command overrides."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from dwskd_monai.bundle.classes import class_names_of
from dwskd_monai.bundle.config_files import ConfigFiles
from dwskd_monai.bundle.errors import parsed_content
from dwskd_monai.bundle.overrides import check_types, knows, refuse_unknown
from dwskd_monai.bundle.places import refuse_number_sign
from dwskd_monai.bundle.words import as_values, refuse_fractions

_ITEMS = "train#dataset#data"
_READING = ("dataset_dir", "class_names", "dicom_series", "dicom_patients", "folder_patients", "ignored_columns")


class Bundle:
    """A folder with ``configs/metadata.json`` and configs beside it.

    Args:
        folder: of the bundle.
        overrides: values for ids of any of its configs; words of a command line become values.

    Raises:
        FileNotFoundError: if the folder is not a bundle's.
        ValueError: when a config is read, if the path has a number sign, which MONAI takes for a part of an id.
    """

    def __init__(self, folder: str | Path, overrides: Mapping[str, Any] | None = None) -> None:
        self.folder = Path(folder)
        self._existing("metadata.json")
        self.overrides: dict[str, Any] = as_values(dict(overrides or {}))
        self._configs: dict[tuple[str, ...], ConfigParser] = {}

    @property
    def name(self) -> str:
        """Name of the folder."""
        return self.folder.resolve().name

    @cached_property
    def metadata(self) -> dict[str, Any]:
        """Content of ``metadata.json``."""
        content: dict[str, Any] = json.loads(self._existing("metadata.json").read_text(encoding="utf-8"))
        return content

    @property
    def class_names(self) -> list[str]:
        """In the order of the network's outputs."""
        return class_names_of(self.metadata)

    @property
    def checkpoint(self) -> Path:
        """The file of the deployed network's weights."""
        return Path(self.parsed("checkpoint", "train"))

    def config(self, *names: str) -> ConfigParser:
        """Configs, each laid over the one before, with the overrides that they know; parsed once.

        Args:
            names: files of ``configs`` without ``.yaml``, for instance ``train`` and ``evaluate``.

        Raises:
            FileNotFoundError: if the file does not exist.
        """
        if names not in self._configs:
            self._configs[names] = self._read(names, self.overrides)
        return self._configs[names]

    def parsed(self, key: str, *names: str, **settings: Any) -> Any:
        """The object that configs make of an id; an error in one of its parts is raised as it was.

        Args:
            key: the id.
            names: see :meth:`config`.
            settings: values for ids in addition to the overrides; the object is then made anew.
        """
        config = self._read(names, self.overrides, settings) if settings else self.config(*names)
        return parsed_content(config, key)

    def refuse_unknown_overrides(self, command: str, *names: str) -> None:
        """Raise ValueError for an override that no config of ``names`` knows, or of another type than the setting."""
        shown = " or ".join(f"{name}.yaml" for name in names)
        files = [self._read((name,)) for name in names]
        refuse_unknown(self.overrides, files, f"an option of {command}, nor a setting of {self.name}'s {shown}")
        check_types(self.overrides, files)
        refuse_fractions(self.overrides)

    def listing(self, config: str = "train") -> dict[str, Any]:
        """How a config lists images without labels: options of :func:`~dwskd_monai.data.images.list_images`."""
        return {name: self.parsed(name, config) for name in ("dicom_series", "ignored_columns")}

    def items(
        self, dataset_dir: str | Path, split: str, fold: int = 0, folds: int | None = None
    ) -> list[dict[str, Any]]:
        """The images of a split as the bundle's training lists them, but always all of the training images.

        Args:
            dataset_dir: labeled images, as for training.
            split: ``training``, ``validation``, ``test`` or ``all``.
            fold: the validation fold.
            folds: how many folds there are; None: as many as the config says.

        Raises:
            FileNotFoundError, ValueError: if something is wrong with the data.
        """
        parser = self._read(("train",), self.overrides, {"dataset_dir": str(dataset_dir)})
        settings = {"split": split, "fold": fold, "train_fraction": 1.0}
        parser[_ITEMS] = parser[_ITEMS] | settings | ({} if folds is None else {"folds": folds})
        items: list[dict[str, Any]] = parsed_content(parser, _ITEMS)
        return items

    def named_folds(self, dataset_dir: str | Path) -> dict[int | None, int]:
        """How many training images are in each fold that the data names; see :func:`~dwskd_monai.data.named_folds`."""
        parser = self._read(("train",), self.overrides, {"dataset_dir": str(dataset_dir)})
        listing = {name: value for name, value in parser[_ITEMS].items() if name in _READING}
        parser[_ITEMS] = listing | {"_target_": "dwskd_monai.data.named_folds"}
        folds: dict[int | None, int] = parsed_content(parser, _ITEMS)
        return folds

    def _read(self, names: Sequence[str], *overrides: Mapping[str, Any]) -> ConfigParser:
        refuse_number_sign(self.folder)
        parser = ConfigFiles()
        parser.read_config([self._existing(f"{name}.yaml") for name in names])
        parser.read_meta(self._existing("metadata.json"))
        parser["bundle_root"] = str(self.folder.resolve())
        for values in overrides:
            parser.update(pairs={key: value for key, value in values.items() if knows(parser, key)})
        return parser

    def _existing(self, file: str) -> Path:
        path = self.folder / "configs" / file
        if not path.is_file():
            raise FileNotFoundError(f"bundle: {self.folder} has no configs/{file}; give the folder of a bundle")
        return path
