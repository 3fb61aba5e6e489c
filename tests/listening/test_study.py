"""A study gets one answer, to all images that the classifier is for, or none."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.listening.classifying import RefusedStudyError
from dwskd_monai.listening.study import answer_study
from dwskd_monai.runtime.classifier import Classifier
from tests.conftest import BUNDLES
from tests.listening.made import REPORT, xray
from tests.runtime.made import make_classifier


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    xray(9).save_as(folder / "xray.dcm", enforce_file_format=True)
    return Classifier(make_classifier(folder, folder / "xray.dcm"))


@pytest.fixture
def add(tmp_path):
    """Adds an image to the study."""

    def add(number, series=1, **attributes):
        file = tmp_path / "study" / str(series) / f"{number}.dcm"
        file.parent.mkdir(parents=True, exist_ok=True)
        xray(number, StudyInstanceUID="1.2.3.1", **attributes).save_as(file, enforce_file_format=True)
        return file

    return add


def referred(dataset) -> set[str]:
    """The images that a report is about."""
    (study,) = dataset.CurrentRequestedProcedureEvidenceSequence
    return {
        item.ReferencedSOPInstanceUID
        for series in study.ReferencedSeriesSequence
        for item in series.ReferencedSOPSequence
    }


def test_all_images_of_a_study_get_one_report_and_one_picture(classifier, add, tmp_path):
    for number in (1, 2):
        add(number, series=number)
    report, picture = answer_study(classifier, False, tmp_path / "study")
    assert (report.SOPClassUID, picture.Modality) == (REPORT, "OT")
    assert referred(report) == {"1.2.3.1.1.1", "1.2.3.2.1.1"}
    alone = [classifier.predict(tmp_path / "study" / name).slices for name in ("1/1.dcm", "2/2.dcm")]
    together = classifier.evidence.calibrated(classifier.aggregation(np.concatenate(alone).astype(float)))
    said = [item for item in report.ContentSequence[-1].ContentSequence[0].ContentSequence if item.ValueType == "NUM"]
    percent = [float(item.MeasuredValueSequence[0].NumericValue) for item in said]
    for probability in together:
        assert min(abs(value - 100 * probability) for value in percent) < 0.01, percent


def test_the_answers_are_the_same_each_time(classifier, add, tmp_path):
    add(1)
    add(2)
    first = [dataset.SOPInstanceUID for dataset in answer_study(classifier, False, tmp_path / "study")]
    shutil.move(tmp_path / "study", tmp_path / "elsewhere")
    second = [dataset.SOPInstanceUID for dataset in answer_study(classifier, False, tmp_path / "elsewhere")]
    add(1)
    third = [dataset.SOPInstanceUID for dataset in answer_study(classifier, False, tmp_path / "study")]
    assert first == second
    assert not {*first} & {*third}, "it is about other images"


def test_images_that_the_classifier_is_not_for_are_left_out(classifier, add, tmp_path, caplog):
    caplog.set_level("INFO")
    add(1)
    add(2, series=2, ViewPosition="LATERAL")
    report, _ = answer_study(classifier, False, tmp_path / "study")
    assert referred(report) == {"1.2.3.1.1.1"}
    assert "left out: 2/2.dcm: view is LATERAL" in caplog.text


def test_no_image_is_answered_beside_one_that_is_damaged(classifier, add, tmp_path):
    add(1)
    file = add(2)
    file.write_bytes(file.read_bytes()[:-500])
    with pytest.raises(RefusedStudyError, match=r"^1/2.dcm: "):
        answer_study(classifier, False, tmp_path / "study")


def test_a_study_without_an_image_for_the_classifier_is_refused_with_each_reason(classifier, add, tmp_path):
    for number in (1, 2):
        add(number, ViewPosition="LATERAL")
    with pytest.raises(RefusedStudyError) as error:
        answer_study(classifier, False, tmp_path / "study")
    assert [line[:25] for line in str(error.value).splitlines()] == [
        "1/1.dcm: view is LATERAL;",
        "1/2.dcm: view is LATERAL;",
    ]


@pytest.fixture(scope="module")
def of_volumes(tmp_path_factory):
    folder = tmp_path_factory.mktemp("volumes")
    return Classifier(make_classifier(folder / "models", ct(folder / "series"), BUNDLES[1]))


def ct(folder: Path) -> Path:
    """A series of six slices, with fat in its middle and air around it."""
    volume = np.full((40, 40, 6), -1000.0)
    volume[8:32, 8:32] = -80.0
    volume += np.random.default_rng(0).normal(0, 20, volume.shape)
    write_series(volume, np.diag([4.0, 4.0, 5.0, 1.0]), folder, "P1", "CT")
    return folder


def test_the_slices_of_a_series_are_one_image_and_none_may_be_missing(of_volumes, tmp_path):
    study = tmp_path / "study"
    study.mkdir()
    series = ct(study / "series")
    report, _ = answer_study(of_volumes, False, study)
    assert len(referred(report)) == 6
    sorted(series.iterdir())[2].unlink()
    with pytest.raises(RefusedStudyError, match=r"^series: .*gap"):
        answer_study(of_volumes, False, study)
