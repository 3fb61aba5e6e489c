"""What the networks of a bundle say about studies."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from monai.data import DataLoader
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray
from sklearn.preprocessing import normalize
from torch import Tensor
from tqdm import tqdm

from dwskd_monai.commands.suggest.judges import Judges
from dwskd_monai.data.slices import SliceDataset
from dwskd_monai.evaluation.evidence import find_novelty
from dwskd_monai.evaluation.unlike import StudyNovelty, UnlikeStudies

Values = NDArray[np.float64]


@dataclass(frozen=True)
class JudgedStudy:
    """A study, and what N networks say about it.

    Args:
        name: of the study.
        slices: probabilities ``(S, N, K)`` of its slices, in their order.
        probabilities: ``(N, K)`` of the study.
        deployed: ``(K,)`` of the study, as the bundle predicts it.
        features: ``(D,)``, of all networks side by side.
        novelty: how unlike the training images it is.
        dataset: of its slices.
        places: of its slices in the dataset.
    """

    name: str
    slices: Values
    probabilities: Values
    deployed: Values
    features: Values
    novelty: StudyNovelty
    dataset: SliceDataset
    places: list[int]

    def image_of(self, index: int) -> str:
        """The path of the image that a slice belongs to."""
        return str(self.dataset.data[self._images[index]][CommonKeys.IMAGE])

    def index_in_image(self, index: int) -> int:
        """The index of a slice among those of its image, which are consecutive."""
        return index - self._images.index(self._images[index])

    def picture_of(self, index: int) -> NDArray[np.float32]:
        """A slice ``(H, W)`` as the networks see it; of several channels the first."""
        pixels: NDArray[np.float32] = np.asarray(self.dataset[self.places[index]][CommonKeys.IMAGE][0])
        return pixels

    @cached_property
    def _images(self) -> list[int]:
        """Of each slice, the place of its image in the data of the dataset."""
        images = self.dataset.places()
        return [images[place] for place in self.places]


@dataclass
class _Slices:
    """The slices of a study that were judged so far; of their features only the sum is kept."""

    places: list[int] = field(default_factory=list)
    probabilities: list[Values] = field(default_factory=list)
    features: Values | float = 0.0


def judge(judges: Judges, dataset: SliceDataset) -> list[JudgedStudy]:
    """What the students of a bundle say about each study of a dataset, in the order of the studies' first images.

    Args:
        judges: the bundle.
        dataset: all slices of the studies.

    Raises:
        ValueError: if a network is not one of timm, or predicts something that is not finite.
    """
    device = torch.device(judges.setting("device"))
    networks = [_prepared(network, judges, device) for network in judges.committee.networks]
    loader = DataLoader(dataset, batch_size=int(judges.setting("batch_size")), num_workers=0)
    found: dict[str, _Slices] = defaultdict(_Slices)
    novelty = find_novelty(judges.trained.settings.evidence)
    unlike = UnlikeStudies(novelty)
    place = 0
    for batch in tqdm(loader, "judging slices", unit="batch", disable=None):
        if novelty is not None:
            scores = novelty.of_slices(batch[CommonKeys.IMAGE].numpy())
            for name, index, score in zip(batch["study"], batch["slice"].tolist(), scores.tolist(), strict=True):
                unlike.add(name, index, score)
        outputs = _outputs(networks, batch[CommonKeys.IMAGE].to(device))
        for name, probabilities, features in zip(batch["study"], *outputs, strict=True):
            study = found[name]
            study.places.append(place)
            study.probabilities.append(probabilities)
            study.features = study.features + features
            place += 1
    return [_study(name, slices, unlike.finish(name), dataset, judges) for name, slices in found.items()]


def _prepared(network: Any, judges: Judges, device: torch.device) -> Any:
    if not hasattr(network, "forward_head"):
        raise ValueError(
            "network_def: studies are compared by their features, for which suggest needs a network of timm; got "
            f"{type(network).__name__}"
        )
    return network.to(device, memory_format=judges.setting("memory_format")).eval()


@torch.inference_mode()
def _outputs(networks: list[Any], images: Tensor) -> tuple[Values, Values]:
    """Of each slice: the networks' probabilities ``(B, N, K)``, and their features ``(B, D)`` side by side."""
    probabilities = []
    features = []
    for network in networks:
        maps = network.forward_features(images)
        features.append(network.forward_head(maps, pre_logits=True).double().cpu().numpy())
        probabilities.append(network.forward_head(maps).double().softmax(1).cpu().numpy())
    if not all(np.isfinite(values).all() for values in (*features, *probabilities)):
        raise ValueError("a network's prediction is not finite; train it again")
    return np.stack(probabilities, 1), np.concatenate([normalize(values) for values in features], 1)


def _study(name: str, found: _Slices, novelty: StudyNovelty, dataset: SliceDataset, judges: Judges) -> JudgedStudy:
    committee = judges.committee
    aggregate = judges.setting("aggregation")
    slices = np.stack(found.probabilities)
    students = slices[:, list(committee.students)]
    return JudgedStudy(
        name,
        students,
        np.stack([aggregate(students[:, number]) for number in range(students.shape[1])]),
        aggregate(slices[:, list(committee.deployed)].mean(1)),
        np.asarray(found.features / len(slices)),
        novelty,
        dataset,
        found.places,
    )
