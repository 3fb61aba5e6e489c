"""The settings that a network was trained with, as everything after the training uses them.

The settings are in a file beside the weights (:mod:`~dwskd_monai.bundle.settings_file`); a setting that contradicts
them is refused.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser
from torch import nn

from dwskd_monai import checkpoints
from dwskd_monai.bundle.overrides import as_id, parts_of
from dwskd_monai.ensemble import Ensemble

NOT_TRAINED = "{} does not exist; train the bundle first, or give the file: --checkpoint"
LEARNED = ("training", "unlabeled", "earlier")  # those of the images of a training that its network has learned from
_logger = logging.getLogger(__name__)
# A prediction may be made with other values of these; the log and the output then say so.
MAY_DIFFER = ("aggregate", "top_k", "aggregation", "accept")
_PACKAGE = __name__.partition(".")[0]  # "scripts" in a packed bundle
_MISSING = object()


class TrainedSettings(Mapping[str, Any]):
    """The settings that decide the predictions of a network, by the ids of the configs: ``trained["image_size"]``.

    Args:
        settings: ids and values, as :func:`~dwskd_monai.bundle.decisive.decisive_settings` finds them.
        class_names: in the order of the network's outputs.
        origin: where the network comes from: images, seed and versions of the training; empty before any training.
        weights: the file of the network's state dict; None for a network that is not trained by a bundle.
        sha256: digest of this file; None before any training.
        evidence: what was fitted to the validation images, for ``evaluation.read_evidence``; None: nothing, as by
            earlier versions.
    """

    def __init__(
        self,
        settings: Mapping[str, Any],
        class_names: list[str],
        origin: Mapping[str, Any],
        weights: Path | None,
        sha256: str | None,
        evidence: Mapping[str, Any] | None = None,
    ) -> None:
        self.class_names = class_names
        self.origin = origin
        self.weights = weights
        self.sha256 = sha256
        self.evidence: Mapping[str, Any] = evidence or {}
        self._settings = dict(settings)
        self._fitted: dict[str, Any] = dict(self.evidence.get("settings", {}))

    def __getitem__(self, key: str) -> Any:
        return self._settings[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._settings)

    def __len__(self) -> int:
        return len(self._settings)

    @property
    def deploys_both(self) -> bool:
        """Whether the network is the mean of two students, each of which ``network_def`` describes."""
        return self.get("deploy") == "both"

    @property
    def images(self) -> dict[str, list[str] | None]:
        """Digests of the contents of the images of the training; None: there were some, but they are not listed.

        They are those of ``training`` and ``validation``; ``unlabeled``: those without labels that it learned from;
        ``earlier``: others that the networks it started from had learned from.
        """
        listed = self.origin.get("images", {})
        if "unlabeled" in self.origin:  # an earlier version recorded only their number
            listed = {"unlabeled": None} | listed
        return {part: listed.get(part, []) for part in ("validation", *LEARNED)}

    @property
    def planes(self) -> dict[str, int]:
        """How many training images were cut in each plane; empty if the training did not record it."""
        return dict(self.origin.get("planes", {}))

    def decides(self, key: str) -> bool:
        """Whether an id is among the settings, or is a part of one of them, such as ``network_def#img_size``.

        Settings of what was fitted at the training, such as ``operating_point``, are among them.
        """
        return as_id(key) in {**self._settings, **self._fitted} or parts_of(key)[0] in self._settings

    def check(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Refuse a setting that contradicts the training.

        Args:
            given: ids and values of a later use; ids that do not decide a prediction are ignored.

        Returns:
            The settings that differ, and are allowed to.

        Raises:
            ValueError: the message names the id and both values.
        """
        differing = {}
        for key, value in self._decisive_parts(given):
            trained = self._lookup(key)
            if trained is not _MISSING and _plain(trained) == _plain(value):
                continue
            if parts_of(key)[0] in MAY_DIFFER:
                differing[key] = value
                continue
            raise ValueError(self._contradiction(key, "nothing" if trained is _MISSING else repr(trained), value))
        return differing

    def check_use(self, given: Mapping[str, Any], class_names: Iterable[list[str]]) -> None:
        """Refuse a use of the network that contradicts its training; differences that are allowed are logged.

        Args:
            given: ids and values.
            class_names: the names that the classes have now, for instance in the bundle's metadata.

        Raises:
            FileNotFoundError: if the network has not been trained yet.
            ValueError: for a contradiction.
        """
        if self.sha256 is None and self.weights is not None and not self.weights.is_file():
            raise FileNotFoundError(NOT_TRAINED.format(self.weights))
        for key, value in self.check(given).items():
            _logger.info("%s is %r here, but was %r in the training", key, value, self.get(key))
        for names in class_names:
            self.check_classes(names)

    def check_classes(self, class_names: list[str]) -> None:
        """Refuse names of classes, or an order of them, other than those of the training.

        Raises:
            ValueError: the message has both lists.
        """
        if class_names != self.class_names:
            raise ValueError(
                f"classes: {self.weights} was trained with {', '.join(self.class_names)}, but configs/metadata.json "
                f"now names {', '.join(class_names)}; put back channel_def of outputs.pred there, or train again"
            )

    def create_network(self) -> nn.Module:
        """The network, without its weights."""
        network: nn.Module = self._created("network_def")
        return Ensemble(network, copy.deepcopy(network)) if self.deploys_both else network

    def load_network(self) -> nn.Module:
        """The network with its weights, on the CPU, in evaluation mode.

        Raises:
            FileNotFoundError: if it has not been trained yet.
            ValueError: if the weights do not fit, or are not a state dict.
        """
        if self.weights is None or not self.weights.is_file():
            raise FileNotFoundError(NOT_TRAINED.format(self.weights))
        network = self.create_network()
        try:
            network.load_state_dict(checkpoints.load_tensors(self.weights))
        except RuntimeError as error:
            raise ValueError(
                f"{self.weights} does not fit the network that its settings describe; give the settings of its "
                f"training: {error}"
            ) from error
        return network.eval()

    def create_transforms(self, accept: Sequence[str] | None = None) -> list[Any]:
        """The transforms from the files of an image to the network's input, in order.

        Args:
            accept: replaces the argument of this name of a transform; None: as in the training.
        """
        described = [dict(one) for one in self._settings["study_transforms"]]
        if accept is not None:
            described = [one | {"accept": list(accept)} if "accept" in one else one for one in described]
        transforms: list[Any] = self._created("study_transforms", described)
        return transforms

    def _created(self, name: str, described: Any = None) -> Any:
        """The object that a setting describes; its expressions may use the other settings."""
        settings = self._settings if described is None else self._settings | {name: described}
        return ConfigParser(_of_this_package(settings)).get_parsed_content(name)

    def _decisive_parts(self, given: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
        """The ids that decide a prediction; if a map does not, those of its values that do."""
        for key, value in given.items():
            if self.decides(key):
                yield key, value
            elif isinstance(value, Mapping):
                yield from self._decisive_parts({f"{key}#{name}": part for name, part in value.items()})

    def _lookup(self, key: str) -> Any:
        known = {**self._settings, **self._fitted}
        if as_id(key) in known:
            return known[as_id(key)]
        value: Any = self._settings
        for part in parts_of(key):
            if isinstance(value, Mapping) and part in value:
                value = value[part]
            elif isinstance(value, list) and part.isdigit() and int(part) < len(value):
                value = value[int(part)]
            else:
                return _MISSING
        return value

    def _contradiction(self, key: str, trained: str, value: Any) -> str:
        source = f"{self.weights} was trained with" if self.sha256 else "configs/train.yaml has"
        return f"{key}: {source} {trained}, got {value!r}; leave {key} out, its value comes from the training"


def _plain(value: Any) -> Any:
    """A value for comparison: lists in place of tuples, and classes without the package, which packing renames."""
    if isinstance(value, Mapping):
        return {key: _in_package(item) if key == "_target_" else _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _of_this_package(content: Any) -> Any:
    """The content of a config; in a packed bundle, classes of this package become those of its copy there."""
    if isinstance(content, Mapping):
        return {
            key: f"{_PACKAGE}.{_in_package(value)}" if key == "_target_" and _in_package(value) != value
            else _of_this_package(value)
            for key, value in content.items()
        }  # fmt: skip
    return [_of_this_package(item) for item in content] if isinstance(content, list) else content


def _in_package(target: str) -> str:
    package, _, name = target.partition(".")
    return name if package in (_PACKAGE, "dwskd_monai") else target
