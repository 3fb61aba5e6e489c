"""What follows the network in the exported graph: as ``evaluation`` has it in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from dwskd_monai.commands.export.graph import answers, novelty
from dwskd_monai.evaluation.aggregation import Aggregation
from dwskd_monai.evaluation.evidence import tempered
from dwskd_monai.evaluation.novelty import Novelty, describe_slices
from tests.commands.export.graph.graphs import run_on

CLASSES = ["a", "b", "c"]


@pytest.mark.parametrize("slices", [1, 4, 9])
@pytest.mark.parametrize("aggregation", [Aggregation(), Aggregation("max"), Aggregation("top_k", 5)], ids=str)
def test_slices_become_a_study(aggregation, slices):
    logits = np.random.default_rng(slices).normal(0, 3, (slices, 3)).astype(np.float32)
    powers = np.exp(logits.astype(float))
    expected = aggregation(powers / powers.sum(1, keepdims=True))

    def written(op: Any, given: Any) -> Any:
        return answers.aggregated(op, answers.probabilities(op, given), aggregation)

    np.testing.assert_allclose(run_on(written, logits, ["slices", 3]), expected, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.4, 3.0])
def test_a_temperature_calibrates_probabilities_even_of_zero(temperature):
    given = np.array([0.0, 0.25, 0.75])

    def written(op: Any, study: Any) -> Any:
        return answers.calibrated(op, op.Cast(study, to=11), temperature)

    np.testing.assert_allclose(run_on(written, given, [3]), tempered(given, temperature), rtol=1e-6)


@pytest.mark.parametrize(("otherwise", "expected"), [(np.inf, [True, False, False]), (0.0, [True, False, True])])
def test_a_class_reaches_its_threshold_or_has_none(otherwise, expected):
    def written(op: Any, study: Any) -> Any:
        return answers.reached(op, op.Cast(study, to=11), {"a": 0.5, "b": 0.25001}, CLASSES, otherwise)

    assert run_on(written, np.array([0.5, 0.25, 0.25]), [3]).tolist() == expected


@pytest.mark.parametrize("side", [8, 33, 224])
def test_novelty_scores_are_those_of_the_numpy_core(side):
    random = np.random.default_rng(side)
    slices = random.normal(size=(3, 2, side, side)).astype(np.float32).cumsum(3) / 10
    described = describe_slices(slices)
    fitted = Novelty(random.normal(size=described.shape[1]), random.normal(size=(described.shape[1],) * 2))

    def written(op: Any, given: Any) -> Any:
        each = [novelty.looks(op, op.Slice(given, [index], [index + 1]), side) for index in range(3)]
        return novelty.scores(op, op.Concat(*(op.Unsqueeze(one, [0]) for one in each), axis=0), fitted)

    result = run_on(written, slices, [3, 2, side, side])
    np.testing.assert_allclose(result, fitted.of_slices(slices), rtol=1e-4)
