from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from dwskd_monai.data.phantoms.writing import write_dicom, write_multiframe, write_series
from dwskd_monai.reading.find import find_images
from dwskd_monai.reading.refusal import ASIDE, RefusedImage

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


def reasons(others: list[RefusedImage]) -> dict[Path, str]:
    return {other.path: other.reason for other in others}


@pytest.mark.parametrize("name", ["a.mha", "b.nrrd", "c.dcm.gz", "d.gif"])
def test_a_file_that_may_be_an_image_but_cannot_be_read_is_refused(tmp_path, name):
    (tmp_path / name).write_text("x")
    ((refusal,), images) = find_images(tmp_path, dicom_series=True)[::-1]
    suffix = name[1:]
    assert images == []
    assert (refusal.path, refusal.kind) == (tmp_path / name, "format")
    assert refusal.reason == f"a file called {suffix}; expected an image that can be read; convert it"


def test_what_systems_and_vendors_leave_is_set_aside(tmp_path):
    for folder in ("@eaDir", "__MACOSX", ".thumbnails", "images", "masks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "a.png").touch()
    for name in ("Thumbs.db", "desktop.ini", ".DS_Store", "labels.csv"):
        (tmp_path / name).touch()
    os.mkfifo(tmp_path / "pipe.png")
    images, others = find_images(tmp_path, dicom_series=True)
    assert names(tmp_path, images) == ["images/a.png"]
    assert {other.kind for other in others} == {ASIDE}
    assert len(others) == 9


def test_masks_alone_are_a_class_as_any_other(tmp_path):
    (tmp_path / "masks").mkdir()
    (tmp_path / "masks" / "a.png").touch()
    assert find_images(tmp_path, dicom_series=True) == ([tmp_path / "masks" / "a.png"], [])


def test_links_are_followed_once_and_broken_ones_are_refused(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    for folder in (root / "inner", elsewhere):
        folder.mkdir(parents=True)
        (folder / "a.png").touch()
    (root / "linked").symlink_to(elsewhere)
    (root / "inner" / "again").symlink_to(root)
    (root / "broken.png").symlink_to(tmp_path / "nothing.png")
    images, others = find_images(root, dicom_series=True)
    assert names(root, images) == ["inner/a.png", "linked/a.png"]
    assert reasons(others) == {
        root / "inner" / "again": "link to a folder that is listed already",
        root / "broken.png": "a broken link; expected a file; copy it here, or remove the link",
    }


def test_a_series_is_one_image_and_so_is_each_multi_frame_file(root):
    images, others = find_images(root, dicom_series=True)
    single = ["IM0001", "a.png", "b.JPG", "c.nii.gz", "d.nii", "e.dcm", "frames/f.dcm", "frames/g.dcm", "series"]
    assert names(root, images) == single
    assert {path.name for path in reasons(others)} == {"notes.txt", ".hidden.png", "._c.nii.gz", "DICOMDIR", ".cache"}
    assert {other.kind for other in others} == {ASIDE}


def test_where_dicom_files_are_pictures_each_is_an_image(root):
    images, others = find_images(root, dicom_series=False)
    assert len([path for path in images if path.parent.name == "series"]) == 3
    assert reasons(others)[root / "series" / "LICENSE"] == "file without a suffix that is not an image"


def test_the_folder_itself_may_be_a_series(root):
    assert find_images(root / "series", dicom_series=True, root_is_series=True)[0] == [root / "series"]
    assert len(find_images(root / "series", dicom_series=True)[0]) == 3


def test_a_folder_with_one_dicom_file_is_that_file(root):
    for path in sorted((root / "series").iterdir())[1:]:
        path.unlink()
    (file,) = (root / "series").iterdir()
    shutil.copy(file, root / "other.dcm")
    assert file in find_images(root, dicom_series=True)[0]
