from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.data.images import list_images
from dwskd_monai.data.phantoms.writing import write_series


def listed(folder, **settings) -> list[str]:
    return [item["image"] for item in list_images(folder, **settings)]


def test_a_folder_with_subfolders_or_one_file(tmp_path):
    files = [tmp_path / name for name in ("a/inner/00.png", "a/inner/01.png", "b/00.png", "notes.txt")]
    for file in files:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    assert listed(tmp_path) == [str(file) for file in files[:3]]
    assert list_images(files[2]) == [{"image": str(files[2]), "study": str(files[2])}]
    (tmp_path / "empty").mkdir()
    with pytest.raises(FileNotFoundError, match="no image"):
        list_images(tmp_path / "empty")


def test_the_folder_of_a_series(tmp_path):
    for scan in ("0", "1"):
        write_series(np.zeros((4, 5, 3)), np.diag([1.0, 1.0, 2.0, 1.0]), tmp_path / scan, "P1", "CT")
    assert listed(tmp_path) == [str(tmp_path / "0"), str(tmp_path / "1")]
    assert listed(tmp_path / "0") == [str(tmp_path / "0")]
    assert len(listed(tmp_path / "0", dicom_series=False)) == 3
