from __future__ import annotations

import numpy as np
import pytest
import torch

from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.inferers import StudyInferer
from tests.conftest import tiny_convnext


@pytest.mark.parametrize("aggregation", [Aggregation(), Aggregation("max"), Aggregation("top_k", 2)])
def test_a_study_gets_the_aggregated_probabilities_of_its_slices(aggregation):
    network = tiny_convnext().eval()
    studies = torch.randn(2, 1, 5, 32, 32)
    with torch.no_grad():
        predicted = StudyInferer(batch_size=2, aggregation=aggregation)(studies, network).softmax(1).numpy()
        slices = [network(study.transpose(0, 1)).softmax(1).double().numpy() for study in studies]
    assert np.allclose(predicted, [aggregation(probabilities) for probabilities in slices], atol=1e-6)


def test_slices_are_run_as_they_are():
    network = tiny_convnext().eval()
    slices = torch.randn(3, 1, 32, 32)
    with torch.no_grad():
        assert torch.equal(StudyInferer(batch_size=1)(slices, network), network(slices))


def test_wrong_input_is_named():
    with pytest.raises(ValueError, match=r"expected slices \(B, C, H, W\) or studies .*, got \(1, 2, 3\)"):
        StudyInferer()(torch.zeros(1, 2, 3), torch.nn.Identity())
    with pytest.raises(ValueError, match="batch_size must be 1 or more slices, got 0"):
        StudyInferer(0)
