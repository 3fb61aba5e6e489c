"""Networks that see only borders, or only the center, shown parts of images."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.shortcuts.collecting import Shortcuts
from dwskd_monai.evaluation.shortcuts.parts import is_border

CPU = torch.device("cpu")
BORDER = torch.from_numpy(is_border(32, 32))


class Looking(nn.Module):
    """Logits from the mean of some pixels."""

    def __init__(self, pixels: torch.Tensor) -> None:
        super().__init__()
        self.pixels = pixels

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        assert not self.training
        assert not torch.is_grad_enabled()
        means = images[:, 0, self.pixels].mean(1)
        return torch.stack([-means, means], 1)


class Files:
    def file_properties(self):
        return {"image size": [(1.0, 2.0), (3.0, 4.0)], "file type": [("PNG",), ("JPEG",)]}


def shown(network, files=None):
    """Two studies of three slices of the values 1 and -1, in batches that go across studies."""
    shortcuts = Shortcuts(network.train(), files)
    shortcuts.begin(Aggregation())
    items = [
        {"image": torch.full((1, 32, 32), value), "study": name, "slice": index, "slices": 3}
        for name, value in (("a", 1.0), ("b", -1.0))
        for index in range(3)
    ]
    for first in range(0, 6, 4):
        shortcuts.add(items[first : first + 4], CPU)
    assert network.training, "the network is as it was"
    return shortcuts


@pytest.mark.parametrize(("pixels", "silent"), [(BORDER, "center"), (~BORDER, "borders")])
def test_a_network_says_nothing_of_the_part_that_it_does_not_look_at(pixels, silent):
    seen = shown(Looking(pixels)).seen(["b", "a"], [1, 0])
    certain = 1 / (1 + np.exp(-2))
    for name, probabilities in seen.probabilities.items():
        expected = 0.5 if name == silent else certain
        np.testing.assert_allclose(probabilities, [[expected, 1 - expected], [1 - expected, expected]], atol=1e-6)


def test_features_are_those_of_the_studies_in_their_order():
    seen = shown(Looking(BORDER), Files()).seen(["b", "a"], [1, 0])
    assert seen.features["image size"].tolist() == [[3, 4], [1, 2]]
    assert seen.features["file type"].tolist() == [[1, 0], [0, 1]]
    assert seen.features["borders"].tolist() == [[-1.0] * BORDER.sum(), [1.0] * BORDER.sum()]


def test_without_files_there_are_parts_of_images_only():
    assert set(shown(Looking(BORDER)).seen(["a"], [0]).features) == {"borders", "center", "blurred"}
