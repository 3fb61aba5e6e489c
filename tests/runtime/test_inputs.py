"""The slices of a CT go through the graph a few at a time, those of an image with percentiles at once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.runtime import names
from dwskd_monai.runtime.classifier import Classifier
from dwskd_monai.runtime.inputs import inputs_of, rescale_of
from tests.conftest import BUNDLES
from tests.runtime.made import make_classifier

SLICES = 19


def made(folder: Path, modality: str, bundle: Path) -> tuple[Classifier, Path]:
    volume = np.random.default_rng(1).normal(0, 300, (40, 36, SLICES)).clip(-1000, 1500)
    volume += np.linspace(-300, 300, SLICES)  # no slice is like another
    series = folder / "series"
    write_series(volume - volume.min() * (modality == "MR"), np.diag([1.0, 1.0, 5.0, 1.0]), series, "P1", modality)
    return Classifier(make_classifier(folder / "models", series, bundle)), series


@pytest.mark.slow
@pytest.mark.parametrize(("modality", "bundle", "runs"), [("CT", 1, 3), ("MR", 2, 1)])
def test_parts_of_an_image_are_answered_as_the_whole_is(tmp_path, monkeypatch, modality, bundle, runs):
    classifier, series = made(tmp_path, modality, BUNDLES[bundle])
    image = classifier.read(series)
    assert image.pixels.dtype == np.int16
    given = []
    run = classifier.run

    def counting(inputs):
        given.append(inputs[names.PIXELS])
        return run(inputs)

    monkeypatch.setattr(classifier, "run", counting)
    answer = classifier.answer(image, series)
    assert len(given) == runs
    assert all(pixels.dtype == np.float32 and pixels.flags.c_contiguous for pixels in given)
    assert np.array_equal(np.concatenate(given), image.pixels)

    whole = run(inputs_of(image, rescale_of(image, classifier.metadata["preprocessing"])))
    np.testing.assert_allclose(answer.probabilities, whole.probabilities, atol=1e-6)
    np.testing.assert_allclose(answer.slices, whole.slices, atol=1e-6)
    np.testing.assert_allclose(answer.slice_novelty, whole.slice_novelty, rtol=1e-5)
    assert answer.novelty == pytest.approx(whole.novelty, rel=1e-5)
    assert (answer.at_operating_point, answer.prediction_set) == (whole.at_operating_point, whole.prediction_set)
    in_float = classifier.answer(replace(image, pixels=image.pixels.astype(np.float32)), series)
    assert np.array_equal(in_float.slices, answer.slices)
