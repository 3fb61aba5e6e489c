"""Which settings of a training are recorded, to be repeated."""

from __future__ import annotations

import pytest

from dwskd_monai.bundle.training_config import without_places


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder in which things are named as settings are."""
    (tmp_path / "both").mkdir()
    (tmp_path / "youden").touch()
    (tmp_path / "weights.pt").touch()
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("deploy", "both"),
        ("operating_point", "youden"),
        ("student", "convnext_atto.d2_in1k"),
        ("teacher", "hf-hub:timm/convnext_tiny.in12k_ft_in1k"),
        ("memory_format", "$torch.channels_last"),
        ("layers", {"first": [0, 1]}),
    ],
)
def test_a_word_is_no_path_whatever_lies_in_the_folder_of_the_command(key, value):
    assert without_places({key: value}) == {key: value}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("auxiliary_def#checkpoint_path", "weights.pt"),
        ("teacher_weights", "/home/me/teacher"),
        ("own", {"files": ["models/teacher.pt"]}),
        ("server", "http://127.0.0.1/studies"),
        ("cache_dir", "cache"),
    ],
)
def test_what_lies_on_this_machine_is_left_out(key, value):
    assert without_places({key: value}) == {}
