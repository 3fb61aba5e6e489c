from __future__ import annotations

import os
import pickle
from pathlib import Path

import numpy as np
import pydicom
import pytest
from torch.utils.data import DataLoader, Dataset

from dwskd_monai.data.phantoms.writing import write_dicom, write_series
from dwskd_monai.reading import RefusedImage, read_image
from dwskd_monai.reading.refusal import KINDS

VOLUME = np.random.default_rng(0).integers(-1000, 1000, (6, 5, 4)).astype(float)


class Images(Dataset):
    def __init__(self, path: Path) -> None:
        self.path = path

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> np.ndarray:
        return read_image(self.path).pixels


def test_it_says_which_file_why_and_of_what_kind(tmp_path):
    (tmp_path / "x.png").write_text("text")
    with pytest.raises(RefusedImage) as caught:
        read_image(tmp_path / "x.png")
    refusal = caught.value
    assert str(refusal) == f"{refusal.path}: {refusal.reason}"
    assert refusal.path == tmp_path / "x.png"
    assert refusal.reason.startswith("not an image")
    assert (refusal.kind, refusal.series, refusal.instance) == ("format", None, None)
    assert refusal.kind in KINDS


def test_of_dicom_it_has_the_identifiers_of_series_and_instance(tmp_path):
    write_dicom(np.arange(64, dtype=np.uint16).reshape(8, 8), tmp_path / "x.dcm", "P1", False)
    path = tmp_path / "x.dcm"
    header = pydicom.dcmread(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(RefusedImage) as caught:
        read_image(path)
    assert caught.value.kind == "damaged"
    assert (caught.value.series, caught.value.instance) == (header.SeriesInstanceUID, header.SOPInstanceUID)


def test_of_a_series_that_is_no_volume_it_has_that_of_the_series(tmp_path):
    write_series(VOLUME, np.eye(4), tmp_path / "series", "P1", "CT")
    paths = sorted((tmp_path / "series").iterdir())
    header = pydicom.dcmread(paths[0])
    next(path for path in paths if path.stem.endswith("-001")).unlink()
    with pytest.raises(RefusedImage, match="unevenly spaced") as caught:
        read_image(tmp_path / "series")
    assert caught.value.path == tmp_path / "series"
    assert (caught.value.kind, caught.value.series, caught.value.instance) == (
        "geometry",
        header.SeriesInstanceUID,
        None,
    )


def test_it_is_the_same_after_pickling():
    refusal = RefusedImage("x.dcm", "no slope", "header", "1.2", "1.2.3")
    copy = pickle.loads(pickle.dumps(refusal))
    assert type(copy) is RefusedImage
    assert str(copy) == "x.dcm: no slope"
    assert vars(copy) == vars(refusal)


def test_it_comes_out_of_a_worker_as_itself(tmp_path):
    with pytest.raises(RefusedImage, match=r"gone.png: there is no such image"):
        next(iter(DataLoader(Images(tmp_path / "gone.png"), num_workers=1)))


def test_a_pipe_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.png")
    with pytest.raises(RefusedImage, match=r"pipe.png: neither a file nor a folder") as caught:
        read_image(tmp_path / "pipe.png")
    assert caught.value.kind == "missing"


def test_a_file_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.png").write_text("text")

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(RefusedImage, match=r"x.png: cannot be opened \(.*Permission denied\)") as caught:
        read_image(tmp_path / "x.png")
    assert caught.value.kind == "missing"
