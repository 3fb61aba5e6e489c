"""Maps, pictures and the test of the maps, for the studies of an evaluation."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import numpy as np
import torch
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray
from torch import Tensor, nn

from dwskd_monai.evaluation.aggregation import Probabilities
from dwskd_monai.evaluation.explanations.cases import carrying_slices, drawn_cases, shown_cases
from dwskd_monai.evaluation.explanations.deletion import Deletion, deletion
from dwskd_monai.evaluation.explanations.feature_maps import NoFeatureMapError
from dwskd_monai.evaluation.explanations.maps import GRAD_CAM, OCCLUSION, Map, grad_cam, occlusion
from dwskd_monai.evaluation.explanations.pictures import marked, plain
from dwskd_monai.evaluation.html.picture import Picture

_logger = logging.getLogger(__name__)


class Slices(Protocol):
    """A dataset of slices, as ``data.SliceDataset``."""

    def item_of(self, study_index: int, number: int) -> Mapping[str, Any]:
        """One slice of a study, with ``image`` ``(C, H, W)``."""


@dataclass(frozen=True)
class ShownSlice:
    """A slice on the page.

    Args:
        number: in its study, from 0.
        probability: of the predicted class of the study, as the network gives it.
        pictures: the slice, and the slice with each map.
    """

    number: int
    probability: float
    pictures: Sequence[Picture]


@dataclass(frozen=True)
class Explained:
    """What is shown of some studies, which are named by their places among all.

    Args:
        cases: of each kind, places and the slices that carried the study.
        failures: a slice of each of the wrong studies that the page lists, with the map that did best in the test.
        tested: places of the studies by which maps were tested.
        deletions: the test of each method.
        missing: methods that the network has no maps of, and why.
    """

    cases: Mapping[str, Mapping[int, Sequence[ShownSlice]]] = field(default_factory=dict)
    failures: Mapping[int, ShownSlice] = field(default_factory=dict)
    tested: Sequence[int] = ()
    deletions: Mapping[str, Deletion] = field(default_factory=dict)
    missing: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Predicted:
    """The studies of an evaluation.

    Args:
        names: that may be shown.
        numbers: the ``study_index`` of each.
        probabilities: ``(N, K)``, calibrated.
        labels: ``(N,)``.
        slices: probabilities ``(S, K)`` of the slices of each study, as the network gives them.
    """

    names: Sequence[str]
    numbers: Sequence[int]
    probabilities: Probabilities
    labels: NDArray[np.integer]
    slices: Sequence[Probabilities]


class Explanations:
    """Explain some predictions of an evaluation.

    Args:
        network: that is evaluated.
        slices: the dataset of the evaluated images.
        studies: how many studies the maps are tested by; up to 12 studies and 30 errors are shown besides. 0: nothing
            is explained, and there are no pictures of images.

    Raises:
        ValueError: if ``studies`` is negative.
    """

    def __init__(self, network: nn.Module, slices: Slices, studies: int = 30) -> None:
        if studies < 0:
            raise ValueError(f"explained: expected a number of studies, 0 or more, got {studies}")
        self.network = network
        self.slices = slices
        self.studies = studies

    def explain(self, predicted: Predicted, failures: Sequence[int], device: torch.device) -> Explained:
        """Maps of the predicted classes.

        Args:
            predicted: all studies.
            failures: places of the wrong ones that are listed.
            device: of the network.
        """
        work = _Work(self.network, self.slices, predicted, device)
        cases = {
            kind: {place: work.carried(place) for place in places}
            for kind, places in shown_cases(predicted.probabilities, predicted.labels).items()
        }
        tested = drawn_cases(len(predicted.names), self.studies)
        deletions = work.deletions(tested)
        best = max(deletions, key=lambda method: float((deletions[method].by_map - deletions[method].by_random).mean()))
        listed = {place: work.shown(place, work.carrying(place)[0], [best]) for place in failures}
        return Explained(cases, listed, tested, deletions, work.missing)


class _Work:
    """The explanations of one evaluation; each map is made once."""

    def __init__(self, network: nn.Module, slices: Slices, predicted: Predicted, device: torch.device) -> None:
        self._network = network
        self._slices = slices
        self._predicted = predicted
        self._device = device
        self._classes = predicted.probabilities.argmax(1).tolist()
        self._maps: dict[tuple[int, int, str], NDArray[np.float32]] = {}
        self.methods, self.missing = _methods(network, self._image(0, 0))

    def carrying(self, place: int) -> list[int]:
        """The slices that carried a study."""
        return carrying_slices(self._predicted.slices[place], self._classes[place])

    def carried(self, place: int) -> list[ShownSlice]:
        """These slices with all their maps."""
        return [self.shown(place, number, self.methods) for number in self.carrying(place)]

    def shown(self, place: int, number: int, methods: Iterable[str]) -> ShownSlice:
        """A slice and its maps."""
        image = self._image(place, number)[0].float().cpu().numpy()
        rows = self._predicted.slices[place]
        name = self._predicted.names[place]
        which = f"slice {number + 1} of {len(rows)}" if len(rows) > 1 else "image"
        pictures = [plain(image, which, f"The {which} of study {name}, as the network gets it.")]
        for method in methods:
            words = f"The {which} of study {name}; the fifth is outlined where {method} speaks most for the class."
            pictures.append(marked(image, self._map(place, number, method), method, words))
        return ShownSlice(number, float(rows[number, self._classes[place]]), pictures)

    def deletions(self, places: Sequence[int]) -> dict[str, Deletion]:
        """The test of each method on one slice of each of these studies."""
        found = {}
        numbers = [self.carrying(place)[0] for place in places]
        images = [self._image(place, number) for place, number in zip(places, numbers, strict=True)]
        classes = [self._classes[place] for place in places]
        for method in self.methods:
            maps = [self._map(place, number, method) for place, number in zip(places, numbers, strict=True)]
            found[method] = deletion(self._network, images, classes, maps)
        return found

    def _map(self, place: int, number: int, method: str) -> NDArray[np.float32]:
        key = (place, number, method)
        if key not in self._maps:
            made = self.methods[method](self._image(place, number), self._classes[place])
            self._maps[key] = made.float().cpu().numpy()
        return self._maps[key]

    def _image(self, place: int, number: int) -> Tensor:
        item = self._slices.item_of(self._predicted.numbers[place], number)
        return torch.as_tensor(item[CommonKeys.IMAGE])[None].to(self._device)


def _methods(network: nn.Module, image: Tensor) -> tuple[dict[str, Map], dict[str, str]]:
    """The methods that make maps of a network, and why others do not."""
    methods = {OCCLUSION: occlusion(network)}
    missing = {}
    try:
        method = grad_cam(network, image)
        method(image, 0)
        methods[GRAD_CAM] = method
    except NoFeatureMapError as error:
        missing[GRAD_CAM] = str(error)
    except RuntimeError as error:  # of a network whose gradients cannot be caught, which the page says
        missing[GRAD_CAM] = f"{type(network).__name__} does not give its gradients: {error}"
        _logger.warning("%s: %s", GRAD_CAM, missing[GRAD_CAM])
    return methods, missing
