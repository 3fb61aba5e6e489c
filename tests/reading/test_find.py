from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dwskd_monai.data.phantoms.writing import write_dicom, write_multiframe, write_series
from dwskd_monai.reading.find import find_images

VOLUME, AFFINE = np.zeros((4, 5, 3)), np.diag([1.0, 1.0, 2.0, 1.0])


@pytest.fixture
def root(tmp_path) -> Path:
    """One image of each kind, a series, and files that are none."""
    for name in ("a.png", "b.JPG", "c.nii.gz", "d.nii", "notes.txt", ".hidden.png", "._c.nii.gz"):
        (tmp_path / name).write_text("x")
    write_dicom(np.zeros((4, 4), np.uint16), tmp_path / "e.dcm", "P1", False)
    write_dicom(np.zeros((4, 4), np.uint16), tmp_path / "IM0001", "P1", False)
    write_series(VOLUME, AFFINE, tmp_path / "series", "P1", "CT")
    (tmp_path / "series" / "LICENSE").write_text("x")
    for folder in (tmp_path, tmp_path / "series"):
        shutil.copy(tmp_path / "e.dcm", folder / "DICOMDIR")
    (tmp_path / "frames").mkdir()
    for name in ("f.dcm", "g.dcm"):
        write_multiframe(VOLUME, AFFINE, tmp_path / "frames" / name, "P1", "CT")
    (tmp_path / ".cache").mkdir()
    (tmp_path / ".cache" / "h.png").touch()
    return tmp_path


def names(root: Path, paths: list[Path]) -> list[str]:
    return [path.relative_to(root).as_posix() for path in paths]


def test_a_series_is_one_image_and_so_is_each_multi_frame_file(root):
    images, others = find_images(root, dicom_series=True)
    single = ["IM0001", "a.png", "b.JPG", "c.nii.gz", "d.nii", "e.dcm", "frames/f.dcm", "frames/g.dcm", "series"]
    assert names(root, images) == single
    assert names(root, others) == ["notes.txt"]


def test_where_dicom_files_are_pictures_each_is_an_image(root):
    images, others = find_images(root, dicom_series=False)
    assert len([path for path in images if path.parent.name == "series"]) == 3
    assert names(root, others) == ["notes.txt", "series/LICENSE"]


def test_the_folder_itself_may_be_a_series(root):
    assert find_images(root / "series", dicom_series=True, root_is_series=True)[0] == [root / "series"]
    assert len(find_images(root / "series", dicom_series=True)[0]) == 3


def test_a_folder_with_one_dicom_file_is_that_file(root):
    for path in sorted((root / "series").iterdir())[1:]:
        path.unlink()
    (file,) = (root / "series").iterdir()
    shutil.copy(file, root / "other.dcm")
    assert file in find_images(root, dicom_series=True)[0]
