"""Classes without an image to be measured on."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from dwskd_monai.data import check_validation
from dwskd_monai.data.datalist import load_split

NAMES = ("cat", "dog", "eel")


def make_tree(root: Path, counts: dict[str, int]) -> Path:
    for folder, count in counts.items():
        (root / folder).mkdir(parents=True)
        for number in range(count):
            (root / folder / f"{number}.png").touch()
    return root


@pytest.mark.parametrize("split", ["validation", "test"])
def test_a_class_that_nothing_can_be_measured_of_is_said_with_the_counts(tmp_path, caplog, split):
    make_tree(tmp_path, {**{f"train/{name}": 3 for name in NAMES}, f"{split}/cat": 2, f"{split}/eel": 1})
    assert len(load_split(tmp_path, NAMES, split, folds=3)) == 3
    message = f"no {split} image of class dog (cat 2, dog 0, eel 1): its sensitivity and AUC are undefined"
    assert message in caplog.text


def test_where_all_classes_are_there_nothing_is_said(tmp_path, caplog):
    make_tree(tmp_path, dict.fromkeys(NAMES, 6))
    load_split(tmp_path, NAMES, "validation")
    assert not [record for record in caplog.records if record.levelno > logging.INFO]


def test_validation_images_of_one_class_of_a_server_are_warned_of(tmp_path, caplog):
    (tmp_path / "label.json").write_text(json.dumps({"label": "dog"}))
    check_validation([{"image": "b.png", "label": str(tmp_path / "label.json")}], NAMES)
    assert "all of one class (cat 0, dog 1, eel 0), and cannot tell the best epoch" in caplog.text


def test_validation_images_of_one_class_are_refused_before_a_training():
    items = [{"image": "a.png", "label": 1}, {"image": "b.png", "label": "dog"}]
    channel_def = dict(zip("012", NAMES))
    with pytest.raises(ValueError, match=r"all of one class \(cat 0, dog 2, eel 0\), and cannot tell the best epoch"):
        check_validation(items, channel_def)
    check_validation([*items, {"image": "c.png", "label": "cat"}], channel_def)
