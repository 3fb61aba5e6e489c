"""Slices in a plane in which almost none of the training images were cut: counted, and said once."""

from __future__ import annotations

import json

import pytest

from dwskd_monai.evaluation import PredictionWriter, WarnOfPlaned
from dwskd_monai.evaluation.planes import UnusualPlanes
from tests.evaluation.evaluate import evaluate


@pytest.mark.parametrize(
    ("trained", "plane", "unusual"),
    [
        ({"axial": 52}, "sagittal", True),
        ({"axial": 52}, "axial", False),
        ({"axial": 52, "sagittal": 3}, "sagittal", False),  # 5.5 %
        ({"axial": 58, "sagittal": 3}, "sagittal", True),  # 4.9 %
        ({"axial": 1}, "coronal", True),
        ({"axial": 52}, "unknown", False),
        ({"unknown": 52}, "axial", False),
        ({"axial": 52, "unknown": 3}, "sagittal", False),  # the three may be sagittal
        ({"axial": 58, "unknown": 3}, "sagittal", True),
        ({}, "sagittal", False),
        (None, "sagittal", False),
    ],
)
def test_a_plane_is_unusual_if_less_than_a_twentieth_of_the_training_images_can_be_of_it(trained, plane, unusual):
    planes = UnusualPlanes(trained)
    planes.add("a", plane)
    assert planes.counts() == ({plane: 1} if unusual else {})


def test_many_studies_are_one_warning_with_their_number_and_the_first_names(caplog):
    planes = UnusualPlanes({"axial": 90, "coronal": 3})
    for number in range(8):
        for plane in ("sagittal", "sagittal", "axial"):  # two images of the study, and a third one
            planes.add(f"{number}.nii.gz", plane)
    planes.warn()
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "8 studies have sagittal slices (0.nii.gz, 1.nii.gz, 2.nii.gz, 3.nii.gz, 4.nii.gz and 3 more), but the network "
        "was trained on images of other planes (90 axial, 3 coronal): do not rely on their predictions"
    )


def test_predictions_say_how_many_studies_are_in_an_unusual_plane(tmp_path, caplog):
    handler = PredictionWriter(tmp_path, ("a", "b", "c"), planes={"axial": 10})
    evaluate(handler, planes=("axial", "sagittal", "unknown", "sagittal"))
    assert json.loads((tmp_path / "predictions.json").read_text())["unusual_planes"] == {"sagittal": 2}
    assert [record.getMessage() for record in caplog.records if record.levelname == "WARNING"] == [
        "2 studies have sagittal slices (1.png, 3.png), but the network was trained on images of other planes (10 "
        "axial): do not rely on their predictions"
    ]
    caplog.clear()
    evaluate(handler, planes=("axial",) * 4)
    evaluate(PredictionWriter(tmp_path, ("a", "b", "c")), planes=("sagittal",) * 4)  # trained by an earlier version
    evaluate(PredictionWriter(tmp_path, ("a", "b", "c"), planes={"axial": 10}))  # from a dataset of one's own
    assert not [record for record in caplog.records if record.levelname == "WARNING"]
    assert json.loads((tmp_path / "predictions.json").read_text())["unusual_planes"] == {}


def test_a_server_warns_of_the_image_that_it_predicts(caplog):
    item = {"image_plane": "coronal", "file": "a.nii.gz", "pred": 1}
    assert WarnOfPlaned({"axial": 10})(item) == item
    assert caplog.messages == [
        "1 study has coronal slices (a.nii.gz), but the network was trained on images of other planes (10 axial): do "
        "not rely on its prediction"
    ]
    caplog.clear()
    WarnOfPlaned({"axial": 10})(item | {"image_plane": "axial"})
    WarnOfPlaned({"axial": 10})({"pred": 1})
    WarnOfPlaned({})(item)
    assert not caplog.messages
