from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.preprocessing.expectation import Expectation, implausible
from dwskd_monai.preprocessing.transforms import ExpectImaged
from dwskd_monai.reading import RefusedImage

CHEST = {"modality": ["CR", "DX"], "body_part": ["CHEST", "THORAX"], "view": ["PA", "AP"]}
NOT = {"image_type": ["LOCALIZER", "FA"], "sop_class": ["1.2.840.10008.5.1.4.1.1.7"]}
PICTURE = np.zeros((1, 1, 8, 8), np.float32)


@pytest.mark.parametrize(
    ("says", "problem"),
    [
        ({}, None),
        ({"modality": "CR", "body_part": "CHEST", "view": "PA"}, None),
        ({"modality": "DX", "body_part": "CHEST_2VIEWS", "view": "AP SUPINE"}, None),
        ({"modality": "CR", "body_part": "CHESTABDOMEN"}, None),
        ({"modality": "CT"}, "modality is CT; expected CR or DX; to use such images: --accept \"['modality=CT']\""),
        ({"body_part": "HAND"}, "body part is HAND; expected CHEST or THORAX; "),
        ({"view": "LATERAL"}, "view is LATERAL; expected PA or AP; "),
        ({"view": "PAX"}, "view is PAX; expected PA or AP; "),
        (
            {"image_type": "DERIVED\\SECONDARY\\LOCALIZER"},
            "image type is DERIVED\\SECONDARY\\LOCALIZER; this network is not for",
        ),
        ({"image_type": "ORIGINAL\\PRIMARY\\FAST"}, None),
        ({"image_type": "DERIVED\\FA"}, "image type is DERIVED\\FA; "),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.7.2"}, "sop class is 1.2.840.10008.5.1.4.1.1.7.2; "),
        ({"sop_class": "1.2.840.10008.5.1.4.1.1.1"}, None),
    ],
)
def test_what_a_header_says_is_compared_and_silence_is_not_refused(says, problem):
    said = Expectation(CHEST, NOT).problem(says, PICTURE)
    assert said is None if problem is None else said.startswith(problem)


@pytest.mark.parametrize(
    ("accept", "says"),
    [
        (["view=LATERAL"], {"view": "LATERAL"}),
        (["view=any"], {"view": "LL"}),
        (["image_type=LOCALIZER", "view=LATERAL"], {"view": "LATERAL", "image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}),
    ],
)
def test_what_is_accepted_is_taken(accept, says):
    assert Expectation(CHEST, NOT).problem(says, PICTURE) is not None
    assert Expectation(CHEST, NOT, accept=accept).problem(says, PICTURE) is None


def test_what_a_message_advises_is_accepted():
    says = {"image_type": "ORIGINAL\\PRIMARY\\LOCALIZER"}
    said = Expectation(CHEST, NOT).problem(says, PICTURE)
    advice = said.partition("--accept \"['")[2].removesuffix("']\"")
    assert advice == "image_type=LOCALIZER"
    assert Expectation(CHEST, NOT, accept=[advice]).problem(says, PICTURE) is None


def test_a_text_in_place_of_a_list_is_named():
    with pytest.raises(ValueError, match=r"accept: expected a list, .* got 'view=LATERAL'"):
        Expectation(CHEST, accept="view=LATERAL")


@pytest.mark.parametrize("word", ["LATERAL", "view=", "colour=red", "=x"])
def test_what_cannot_be_accepted_is_named(word):
    with pytest.raises(ValueError, match="accept: expected NAME=VALUE with one of body_part, "):
        Expectation(CHEST, NOT, accept=[word])


def test_a_volume_among_pictures_is_refused_unless_it_is_accepted():
    volume = np.zeros((1, 24, 8, 8), np.float32)
    said = Expectation(most_slices=1).problem({}, volume)
    assert said == "24 slices; expected at most 1; to use such images: --accept \"['slices=any']\""
    assert Expectation(most_slices=1, accept=["slices=any"]).problem({}, volume) is None
    assert Expectation().problem({}, volume) is None


def body(shape: tuple[int, ...] = (1, 5, 64, 64), seed: int = 0) -> np.ndarray:
    """Hounsfield units of a chest: air around and in it, soft tissue, fat, some bone, each with a scanner's noise."""
    rng = np.random.default_rng(seed)
    levels = rng.choice([-1000, -850, -100, 40, 60, 700], size=shape, p=[0.3, 0.25, 0.1, 0.2, 0.1, 0.05])
    return (levels + rng.normal(0, 15, shape)).astype(np.float32)


@pytest.mark.parametrize(
    "pixels",
    [
        body(),
        body((1, 1, 16, 16), 1),
        np.where(body() < -900, np.float32(-3024), body()),  # what scanners put outside of their circle
        np.clip(body(), -1024, 3071),
        np.random.default_rng(2).choice([-110.0, 40.0, 60.0, 300.0], size=(1, 1, 32, 32), p=[0.2, 0.5, 0.2, 0.1]),
    ],
    ids=["volume", "one slice", "padded", "clipped", "crop without air"],
)
def test_hounsfield_units_are_plausible(pixels):
    assert implausible(pixels.astype(np.float32)) is None


@pytest.mark.parametrize(
    "pixels",
    [
        (body() + 1024).clip(0),
        body() + 1024,
        body() - 1024,
        (np.clip(body(), -1000, 400) + 1000) / 1400,
        (np.clip(body(), -160, 240) + 160) / 400 * 255,
        (body() - body().mean()) / body().std(),
        (body() > -400).astype(np.float32),
        np.clip(body(), -128, 127),
        np.zeros((1, 2, 16, 16)),
        body() * 100,
        np.where(body() < -900, np.float32(-2000), body() + 1024),
    ],
    ids=[
        "stored",
        "offset",
        "offset twice",
        "0..1",
        "0..255",
        "z-score",
        "mask",
        "int8",
        "zero",
        "slope",
        "padded and offset",
    ],
)
def test_other_values_are_not(pixels):
    said = Expectation(hounsfield=True).problem({}, pixels.astype(np.float32))
    assert said.startswith("no Hounsfield units of a body: values from ")
    assert said.endswith("to use such images: --accept \"['hounsfield=any']\"")
    assert Expectation(hounsfield=True, accept=["hounsfield=any"]).problem({}, pixels) is None
    assert Expectation().problem({}, pixels) is None


def test_the_transform_names_the_file_and_leaves_pictures_alone():
    transform = ExpectImaged("image", expected=CHEST, hounsfield=True)
    item = {"image": PICTURE, "image_kind": "picture", "image_says": {}, "file": "a.png"}
    assert transform(item) == item
    with pytest.raises(RefusedImage, match=r"a.nii: no Hounsfield units of a body: values from 0 to 0") as caught:
        transform(item | {"image_kind": "volume", "file": "a.nii"})
    assert caught.value.kind == "unexpected"
