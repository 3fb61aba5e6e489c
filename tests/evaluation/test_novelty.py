"""How unlike the training images an image is: by what it looks like, and by limits that hold."""

from __future__ import annotations

import math
import subprocess
import sys

import numpy as np
import pytest
import yaml
from scipy import ndimage
from sklearn.covariance import LedoitWolf

from dwskd_monai.evaluation.novelty import Novelty, describe_slices, read_novelty
from dwskd_monai.evaluation.novelty_fitting import fit_distance, fit_novelty

CELLS = 3


def drawn(count: int, numbers: int = 5, seed: int = 0) -> np.ndarray:
    """Correlated descriptions."""
    random = np.random.default_rng(seed)
    mixing = np.random.default_rng(99).normal(size=(numbers, numbers))
    return random.normal(size=(count, numbers)) @ mixing + 3


def disks(count: int, seed: int = 0, size: int = 48) -> np.ndarray:
    """Pictures ``(N, 1, H, W)`` of a smooth bright disk near the middle, with a little noise."""
    random = np.random.default_rng(seed)
    rows, columns = np.mgrid[:size, :size]
    pictures = []
    for _ in range(count):
        row, column = size * random.uniform(0.45, 0.55, 2)
        distance = np.hypot(rows - row, columns - 0.7 * column)
        disk = 1 / (1 + np.exp((distance - size * random.uniform(0.2, 0.3)) / 2))
        pictures.append(disk * random.uniform(0.8, 1.2) + random.normal(0, 0.02, disk.shape))
    return np.stack(pictures)[:, None].astype(np.float32)


def test_a_description_has_layout_grays_and_detail_of_each_channel():
    size = 48  # halved to 24, 12 and 6
    slices = np.random.default_rng(0).normal(size=(2, 3, size, size)).astype(np.float32)
    found = describe_slices(slices).reshape(2, 3, CELLS**2 + 7 + 4 * 3)
    for picture, channels in zip(slices.astype(float), found):
        for pixels, numbers in zip(picture, channels):
            quarter = pixels.reshape(12, 4, 12, 4).mean((1, 3))
            cells = quarter.reshape(CELLS, 4, CELLS, 4).mean((1, 3))
            assert numbers[:9] == pytest.approx(cells.ravel(), abs=1e-5)
            quantiles = np.quantile(quarter, (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99), method="nearest")
            assert numbers[9:16] == pytest.approx(quantiles, abs=1e-5)
            for level in range(4):
                side = size // 2**level
                shown = pixels.reshape(side, 2**level, side, 2**level).mean((1, 3))[:, :]
                rows = shown[:-2]
                first = np.abs(np.diff(rows, axis=1)).mean(), np.abs(np.diff(shown, axis=0)[:-1]).mean()
                second = np.abs(np.diff(rows, 2, axis=1)).mean() + np.abs(np.diff(shown, 2, axis=0)).mean()
                detail = [math.log(value + 1e-3) for value in (*first, second)]
                assert numbers[16 + 3 * level : 19 + 3 * level] == pytest.approx(detail, abs=1e-4)


@pytest.mark.parametrize(("height", "width"), [(4, 4), (5, 9), (97, 64), (224, 224)])
def test_slices_of_any_size_are_described_alone_as_together(height, width):
    slices = np.random.default_rng(1).normal(size=(3, 1, height, width))
    together = describe_slices(slices)
    assert np.isfinite(together).all()
    assert together == pytest.approx(np.concatenate([describe_slices(slices[[index]]) for index in range(3)]))
    assert np.isfinite(describe_slices(np.zeros((1, 1, height, width)))).all()


def test_the_score_is_the_mahalanobis_distance_of_scikit_learn_per_number():
    training = drawn(200)
    clipped = np.clip(training, np.quantile(training, 0.01, axis=0), np.quantile(training, 0.99, axis=0))
    center, spread = clipped.mean(0), clipped.std(0)
    library = LedoitWolf().fit((clipped - center) / spread)
    new = drawn(50, seed=1) * 2
    expected = np.sqrt(library.mahalanobis((new - center) / spread) / training.shape[1])
    assert fit_distance(training).of_descriptions(new) == pytest.approx(expected)
    assert (fit_distance(training).of_descriptions(training) ** 2).mean() == pytest.approx(1, abs=0.2)


def test_a_number_that_is_constant_and_fewer_slices_than_numbers_have_a_distance():
    few = drawn(4, numbers=30)
    few[:, 7] = 2.0
    novelty = fit_distance(few)
    assert np.isfinite(novelty.of_descriptions(few)).all()
    changed = few[:1].copy()
    changed[0, 7] += 1
    assert novelty.of_descriptions(changed)[0] > 10 * novelty.of_descriptions(few).max()
    with pytest.raises(ValueError, match="expected 2 or more training slices, got 1"):
        fit_distance(few[:1])


def test_limits_have_the_rank_of_split_conformal_prediction_for_studies_and_slices():
    validation = drawn(120, seed=2)
    studies = np.arange(120) // 3
    record = fit_novelty(drawn(300), validation, studies, [None] * 40, share=0.9)
    novelty = read_novelty(record)
    scores = novelty.of_descriptions(validation)
    means = np.sort(scores.reshape(40, 3).mean(1))
    assert novelty.study_limit == pytest.approx(means[math.ceil(41 * 0.9) - 1])
    assert record["studies"]["n"] == 40
    assert record["slices"]["n"] == 120
    assert record["studies"]["reached"]["value"] == pytest.approx(37 / 41)
    assert (scores <= novelty.slice_limit).mean() >= 0.9
    assert novelty.slice_limit > novelty.study_limit, "a mean of three varies less"
    assert (means > novelty.study_limit).sum() == 3


def test_a_share_of_new_studies_as_large_as_promised_does_not_exceed_the_limit():
    within = []
    for seed in range(30):
        record = fit_novelty(drawn(200, seed=seed), drawn(60, seed=100 + seed), np.arange(60), [None] * 60)
        novelty = read_novelty(record)
        within.append(np.mean(novelty.of_descriptions(drawn(300, seed=200 + seed)) <= novelty.study_limit))
    assert 0.94 < np.mean(within) < 0.98  # ceil(61 * 0.95) / 61 is 0.951; 30 draws of 60


def test_few_validation_patients_give_a_score_without_a_limit():
    record = fit_novelty(drawn(30), drawn(12), np.arange(12), [None] * 12)
    assert record["studies"] == {"n": 12, "reason": "too few (n = 12)"}
    novelty = read_novelty(record)
    assert novelty.study_limit is None
    assert np.isfinite(novelty.of_descriptions(drawn(3))).all()
    one_patient = fit_novelty(drawn(30), drawn(40), np.arange(40), ["P"] * 40)
    assert one_patient["studies"]["reason"] == "too few (n = 40, of 1 patient)"


def test_a_record_is_plain_yaml_and_scores_as_it_did():
    record = fit_novelty(drawn(50), drawn(40, seed=1), np.arange(40), [None] * 40)
    again = read_novelty(yaml.safe_load(yaml.safe_dump(record)))
    novelty = read_novelty(record)
    new = drawn(5, seed=3)
    assert again.of_descriptions(new).tolist() == novelty.of_descriptions(new).tolist()
    assert (again.slice_limit, again.study_limit) == (novelty.slice_limit, novelty.study_limit)


@pytest.mark.parametrize("damage", [{"center": None}, {"whitening": "AAAA"}, {"whitening": "***"}])
def test_a_damaged_record_is_named(damage):
    record = fit_novelty(drawn(50), drawn(40), np.arange(40), [None] * 40)
    with pytest.raises(ValueError, match="novelty in the trained settings is incomplete"):
        read_novelty(record | damage)


def spoiled(pictures: np.ndarray) -> dict[str, np.ndarray]:
    random = np.random.default_rng(5)
    return {
        "inversion": 1 - pictures,
        "rotation": np.rot90(pictures, axes=(2, 3)),
        "noise": (pictures + random.normal(0, 0.1, pictures.shape)).astype(np.float32),
        "blur": ndimage.gaussian_filter(pictures, (0, 0, 1.5, 1.5)),
        "crop": pictures[..., 12:36, 12:36].repeat(2, 2).repeat(2, 3),
        "something else": random.normal(size=pictures.shape),
    }


def test_images_of_the_same_kind_are_like_the_training_and_spoiled_ones_are_not():
    validation = describe_slices(disks(60, seed=1))
    record = fit_novelty(describe_slices(disks(150)), validation, np.arange(60), [None] * 60)
    novelty = read_novelty(record)
    new = disks(100, seed=2)
    assert np.mean(novelty.of_slices(new) > novelty.study_limit) < 0.15
    for name, pictures in spoiled(new).items():
        assert np.mean(novelty.of_slices(pictures) > novelty.study_limit) > 0.99, name


def test_slices_of_other_channels_are_named():
    novelty = Novelty(np.zeros(28), np.eye(28))
    with pytest.raises(ValueError, match="expected 28 numbers for a slice, as in the training, got 84"):
        novelty.of_slices(np.zeros((1, 3, 48, 48)))


@pytest.mark.parametrize("share", [0, 1, 95, True, "0.95"])
def test_a_share_out_of_range_is_named_with_its_setting(share):
    with pytest.raises(ValueError, match="novelty: expected a share between 0 and 1"):
        fit_novelty(drawn(30), drawn(30), np.arange(30), [None] * 30, share)


def test_inference_needs_numpy_alone():
    unwanted = {"torch", "scipy", "sklearn", "monai"}
    code = f"import sys, dwskd_monai.evaluation.novelty; print(sorted({unwanted} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
