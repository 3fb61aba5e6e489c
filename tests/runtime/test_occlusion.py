"""The deciding slice of an image, and its heat map, are those of the network in the whole image."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.evaluation.explanations.fading import fades
from dwskd_monai.preprocessing import fitting
from dwskd_monai.runtime.classifier import Answer, Classifier
from dwskd_monai.runtime.occlusion import occlusion_map
from tests.conftest import BUNDLES
from tests.reading.dicom_files import write
from tests.runtime.made import make_classifier


def ct(folder: Path) -> Path:
    volume = np.random.default_rng(1).normal(-700, 300, (40, 36, 6)).clip(-1000, 1500)
    volume[10:20, 10:20, 4] = 900
    write_series(volume, np.diag([1.0, 1.0, 5.0, 1.0]), folder / "ct", "P1", "CT")
    return folder / "ct"


def mr(folder: Path) -> Path:
    volume = np.random.default_rng(2).normal(500, 200, (40, 36, 6)).clip(0, 4000)
    volume[5:25, 5:25, 1] += 2000
    write_series(volume, np.diag([1.0, 1.0, 5.0, 1.0]), folder / "mr", "P1", "MR")
    return folder / "mr"


def xray(folder: Path) -> Path:
    return write(folder / "xray.dcm")


@pytest.fixture(scope="module", params=[(xray, 0), (ct, 1), (mr, 2)], ids=["xray", "ct", "mr"])
def case(request, tmp_path_factory) -> tuple[Classifier, Path]:
    make, bundle = request.param
    folder = tmp_path_factory.mktemp("occlusion")
    path = make(folder)
    return Classifier(make_classifier(folder / "models", path, BUNDLES[bundle])), path


@pytest.mark.slow
def test_the_deciding_slice_is_the_one_that_speaks_most_for_the_class(case):
    classifier, path = case
    image = classifier.read(path)
    answer = classifier.answer(image, path, deciding=True)
    index = int(answer.probabilities.argmax())
    deciding = answer.deciding
    assert deciding is not None
    assert (deciding.path, deciding.count, deciding.plane) == (path, len(image.pixels), image.plane)
    assert answer.slices[deciding.number, index] == answer.slices[:, index].max()
    preprocessing = classifier.metadata["preprocessing"]
    fitted = fitting.fit(image.pixels, image.spacing, preprocessing["image_size"], preprocessing["keep_aspect"])
    limits = preprocessing["ranges"] or [np.percentile(fitted, preprocessing["percentiles"])]
    assert deciding.limits == pytest.approx((np.min(limits), np.max(limits)))
    np.testing.assert_allclose(deciding.pixels, fitted[deciding.number].clip(*deciding.limits), rtol=1e-6)
    assert classifier.answer(image, path).deciding is None, "nobody asked"


@pytest.mark.slow
def test_the_deciding_slice_of_a_study_speaks_most_for_the_class_of_the_study(case, monkeypatch):
    classifier, path = case
    image = classifier.read(path)
    count, classes = len(image.pixels), len(classifier.metadata["classes"])
    first, second = np.zeros((2, count, classes), np.float32)
    first[:, :2] = (0.52, 0.48)
    first[-1, :2] = (0.4, 0.6)  # the slice that speaks most for the second class, in an image of the first one
    first[0, :2] = (0.53, 0.47) if count > 1 else (0.4, 0.6)
    second[:, :2] = (0.41, 0.59)
    said = [Answer(slices.mean(0), slices, (), ()) for slices in (first, second)]
    monkeypatch.setattr(classifier, "run", lambda inputs: said.pop(0))
    answers = [classifier.answer(image, name, deciding=True) for name in ("first", "second")]
    together = classifier.combined(answers)
    assert together.probabilities.argmax() == 1
    assert together.deciding is not None
    assert (together.deciding.path, together.deciding.number) == (Path("first"), count - 1)


@pytest.mark.slow
def test_the_map_is_how_the_probability_falls_where_the_slice_fades(case):
    """The oracle is the formula of the small network."""
    classifier, path = case
    image = classifier.read(path)
    answer = classifier.answer(image, path, deciding=True)
    index, deciding = int(answer.probabilities.argmax()), answer.deciding
    assert deciding is not None
    preprocessing = classifier.metadata["preprocessing"]
    low, high = preprocessing["ranges"][0] if preprocessing["ranges"] else deciding.limits
    gray = low + preprocessing["mean"] * (high - low)
    hiding = fades(*deciding.pixels.shape)
    got = occlusion_map(classifier, deciding, index)
    faded = deciding.pixels * (1 - hiding) + gray * hiding
    falls = answer.slices[deciding.number, index] - [probability(classifier, deciding, one, index) for one in faded]
    expected = (falls[:, None, None] * hiding).sum(0) / hiding.sum(0)
    np.testing.assert_allclose(got, expected, atol=1e-5)
    assert np.ptp(got) > 1e-3


def probability(classifier: Classifier, deciding, pixels: np.ndarray, index: int) -> float:
    """What the network says of a resized slice: softmax of weights times means and mean squares of its channels."""
    preprocessing = classifier.metadata["preprocessing"]
    ranges = preprocessing["ranges"] or [deciding.limits]
    channels = [((pixels - low) / (high - low)).clip(0, 1) for low, high in ranges]
    size = preprocessing["image_size"]
    prepared = (fitting.pad(np.stack(channels), size) - preprocessing["mean"]) / preprocessing["std"]
    means = np.concatenate([prepared.mean((1, 2)), (prepared**2).mean((1, 2))])
    classes = len(classifier.metadata["classes"])
    weights = np.resize([0.2, -0.4, 0.1, 0.02, 0.2, -0.2], (len(means), classes))
    logits = means @ weights
    return float(np.exp(logits[index]) / np.exp(logits).sum())
