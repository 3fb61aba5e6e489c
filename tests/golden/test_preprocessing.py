"""Frozen: what each bundle's ``study_transforms`` make of a file, as the network sees it.

Kept are the shape and eighteen pixels, with a tolerance of 1e-5: nine from everywhere, and nine from the middle, where
nothing is padded. Sizes are chosen so that slices shrink by whole and by other ratios, grow, or do both, and pixels are
squares and not.

Where preprocessing is meant to change: raise ``PREPROCESSING_VERSION``, so that nobody's cache mixes old and new
pixels, rename the file in ``expected`` alike, then ``pytest tests/golden/test_preprocessing.py --update-golden``, and
read what changed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai.bundle import ConfigParser
from monai.transforms import Compose
from PIL import Image

from dwskd_monai.data.phantoms.writing import write_dicom, write_multiframe, write_nifti, write_series
from dwskd_monai.preprocessing import PREPROCESSING_VERSION
from tests.conftest import BUNDLES
from tests.golden.files import affine, change, picture, save, volume
from tests.golden.golden import Golden, assert_no_case_is_left_over

FILE = f"preprocessing_v{PREPROCESSING_VERSION}"
SIZE = 24
CUBE = (1.0, 1.0, 1.0)
WIDE = (2.5, 1.0, 4.0)  # axial pixels that are wider than high
# Pictures by height and width, volumes by (x, y, z) and mm.
PICTURES = {
    "half the size": (48, 48),
    "a third, not square": (72, 48),
    "no whole ratio": (50, 35),
    "growing": (16, 20),
    "growing in one direction": (60, 13),
    "one pixel more": (25, 25),
    "as it is": (24, 24),
}
VOLUMES = {
    "half the size": ((48, 48, 3), (1.0, 1.0, 4.0)),
    "no whole ratio": ((50, 35, 3), (1.0, 1.0, 4.0)),
    "growing": ((16, 20, 3), (1.0, 1.0, 4.0)),
    "wide pixels, shrinking": ((48, 70, 3), WIDE),
    "wide pixels, growing": ((9, 20, 3), WIDE),
    "wide pixels, both": ((20, 40, 3), WIDE),
    "thick from left to right": ((4, 50, 35), (4.0, 1.0, 1.5)),
    "cubes": ((30, 40, 50), CUBE),
}
CHEST, LUNG, BRAIN = (bundle.name for bundle in BUNDLES)
# (bundle, kind of file, case, settings of the config)
CASES: dict[str, tuple[str, str, str, dict[str, Any]]] = {
    **{f"{CHEST}, png, {case}": (CHEST, "png", case, {}) for case in PICTURES},
    f"{CHEST}, dicom": (CHEST, "dicom", "no whole ratio", {}),
    f"{CHEST}, dicom, keep_aspect": (CHEST, "dicom with spacing", "no whole ratio", {"keep_aspect": True}),
    f"{CHEST}, png, keep_aspect": (CHEST, "png", "no whole ratio", {"keep_aspect": True}),
    **{f"{LUNG}, nifti, {case}": (LUNG, "nifti", case, {}) for case in VOLUMES},
    f"{LUNG}, series": (LUNG, "series", "wide pixels, shrinking", {}),
    f"{LUNG}, multi-frame": (LUNG, "multi-frame", "wide pixels, shrinking", {}),
    f"{LUNG}, coronal": (LUNG, "nifti", "cubes", {"slice_axis": "coronal"}),
    f"{LUNG}, two windows": (
        LUNG,
        "nifti",
        "no whole ratio",
        {"windows": [[1500, -600], [400, 40]], "in_chans": 2},
    ),
    f"{LUNG}, picture_range": (LUNG, "png", "no whole ratio", {"picture_range": [0, 255]}),
    f"{LUNG}, keep_aspect false": (LUNG, "nifti", "wide pixels, both", {"keep_aspect": False}),
    **{f"{BRAIN}, nifti, {case}": (BRAIN, "nifti", case, {}) for case in VOLUMES},
    f"{BRAIN}, png": (BRAIN, "png", "no whole ratio", {}),
}


def write(folder: Path, kind: str, case: str) -> Path:
    """A file of a kind with the size of a case."""
    path = folder / "study"
    if kind == "png":
        return save(Image.fromarray(picture(*PICTURES[case])), path.with_suffix(".png"))
    if kind.startswith("dicom"):
        write_dicom(picture(*PICTURES[case]).astype(np.uint16) * 16, path.with_suffix(".dcm"), "P1", False)
        spacing = {"PixelSpacing": ["0.5", "0.8"]} if kind == "dicom with spacing" else {}
        return change(path.with_suffix(".dcm"), **spacing)
    shape, spacing = VOLUMES[case]
    pixels, geometry = volume(shape), affine(spacing)
    if kind == "nifti":
        write_nifti(pixels, geometry, path.with_suffix(".nii"), "LPS")
        return path.with_suffix(".nii")
    if kind == "multi-frame":
        write_multiframe(pixels, geometry, path.with_suffix(".dcm"), "P1", "CT")
        return path.with_suffix(".dcm")
    write_series(pixels, geometry, path, "P1", "CT")
    return path


def preprocessed(bundle: str, path: Path, settings: dict[str, Any]) -> np.ndarray:
    """What the transforms give, as the config that trains has them; inference takes them from the training."""
    folder = next(one for one in BUNDLES if one.name == bundle)
    parser = ConfigParser()
    parser.read_config(folder / "configs" / "train.yaml")
    parser.update(pairs={"image_size": SIZE} | settings)
    transforms = Compose(parser.get_parsed_content("study_transforms"))
    return np.asarray(transforms({"image": str(path)})["image"])


def spread(pixels: np.ndarray, count: int = 9) -> list[float]:
    """One pixel from the middle of each of so many equal parts."""
    chosen = ((np.arange(count) + 0.5) / count * pixels.size).astype(int)
    return [round(float(value), 6) for value in pixels.ravel()[chosen]]


@pytest.mark.parametrize("case", CASES)
def test_a_study_looks_to_the_network_as_it_did(golden: Golden, tmp_path, case):
    bundle, kind, size, settings = CASES[case]
    pixels = preprocessed(bundle, write(tmp_path, kind, size), settings)
    quarter = SIZE // 4
    got = {
        "shape": pixels.shape,
        "dtype": str(pixels.dtype),
        "all": spread(pixels),
        "middle": spread(pixels[..., quarter:-quarter, quarter:-quarter]),
    }
    golden.check(FILE, case, got, atol=1e-5)


def test_each_study_that_is_kept_is_compared():
    assert_no_case_is_left_over(FILE, CASES)
