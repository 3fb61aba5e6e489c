from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dwskd_monai.evaluation.explanations.explaining import Explanations, Predicted
from tests.evaluation.explanations.toys import SIDE, Looking, Slices

CPU = torch.device("cpu")
NETWORK = Looking(slice(4, 12), slice(4, 12))


def explained(network=NETWORK, count=12, depth=4, studies=10, failures=(1,)):
    """Studies of which every second one is bright where the network looks, on slice 2 most of all."""
    images = []
    for number in range(count):
        image = 0.1 * torch.randn(depth, 1, SIDE, SIDE)
        image[:, :, 4:12, 4:12] += 0.2 + 0.2 * (-1) ** number
        image[depth // 2, :, 4:12, 4:12] += 0.2 + 0.2 * (-1) ** number
        images.append(image)
    with torch.no_grad():
        slices = [network(image).softmax(1).double().numpy() for image in images]
    probabilities = np.stack([one.mean(0) for one in slices])
    labels = probabilities.argmax(1)
    labels[list(failures)] = 1 - labels[list(failures)]
    names = [f"study {number}" for number in range(count)]
    shuffled = np.random.default_rng(0).permutation(count)  # places are not numbers of the dataset
    dataset = Slices([images[place] for place in np.argsort(shuffled)])
    predicted = Predicted(names, shuffled.tolist(), probabilities, labels, slices)
    return Explanations(network, dataset, studies).explain(predicted, list(failures), CPU)


def test_volumes_have_the_slices_that_carried_them_with_both_maps():
    found = explained()
    assert list(found.cases) == ["right", "wrong", "uncertain"]
    assert list(found.cases["wrong"]) == [1]
    slices = found.cases["wrong"][1]
    assert len(slices) == 3
    assert slices[0].probability > slices[1].probability > slices[2].probability
    titles = [picture.title for picture in slices[0].pictures]
    assert titles[0] == f"slice {slices[0].number + 1} of 4"
    assert [title.split(":")[0] for title in titles[1:]] == ["occlusion", "Grad-CAM++"]
    assert all(len(picture.words) > 30 and "study 1" in picture.words for picture in slices[0].pictures)
    assert list(found.failures) == [1]
    falls = {name: (drops.by_map - drops.by_random).mean() for name, drops in found.deletions.items()}
    best = max(falls, key=falls.get)
    in_list = [picture.title.split(":")[0] for picture in found.failures[1].pictures]
    assert in_list == [titles[0], best], "the map that did best in the test"


def test_the_slice_that_carried_a_bright_study_is_its_brightest():
    right = explained().cases["right"]
    bright = next(place for place in right if place % 2 == 0)
    assert right[bright][0].number == 2


def test_maps_are_tested_on_so_many_studies():
    found = explained(studies=10)
    assert len(found.tested) == 10
    for drops in found.deletions.values():
        assert drops.by_map.shape == drops.by_random.shape == drops.by_other.shape == (10,)
    assert (found.deletions["occlusion"].by_map > found.deletions["occlusion"].by_random).mean() > 0.8
    assert len(explained(count=3, studies=10).tested) == 3


def test_a_network_without_a_feature_map_says_why_and_is_explained_by_occlusion():
    network = nn.Sequential(nn.Flatten(), nn.Linear(SIDE**2, 2))
    found = explained(network, depth=1)
    assert list(found.deletions) == ["occlusion"]
    assert "not one of timm" in found.missing["Grad-CAM++"]
    assert [picture.title for picture in found.failures[1].pictures] == ["image", "occlusion"]


class Detached(Looking):
    def forward(self, images):
        return super().forward(images).detach()


def test_gradients_that_cannot_be_caught_do_not_end_the_evaluation(caplog):
    found = explained(Detached(slice(4, 12), slice(4, 12)), depth=1)
    assert "Detached does not give its gradients" in found.missing["Grad-CAM++"]
    assert "Detached does not give its gradients" in caplog.text


def test_a_negative_number_of_studies_is_refused():
    with pytest.raises(ValueError, match="explained: expected a number of studies, 0 or more, got -1"):
        Explanations(NETWORK, Slices([]), -1)
