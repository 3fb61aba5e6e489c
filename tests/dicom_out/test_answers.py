"""The report and the picture say what the classifier says, and refer to the images that it judged."""

from __future__ import annotations

from pathlib import Path

import highdicom
import numpy as np
import pydicom
import pytest
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from dwskd_monai.dicom_out import answer_datasets
from dwskd_monai.reading import RefusedImage
from dwskd_monai.runtime.classifier import Answer, Classifier
from tests.reading.dicom_files import change, picture, write
from tests.runtime.made import changed, make_classifier

BUNDLE_TITLE = "Chest X-ray classification by DWS-SKD"


def answered(classifier: Classifier, *paths: Path, abstain: bool = False) -> tuple[Answer, list[Dataset]]:
    answer = classifier.combined([classifier.answer(classifier.read(path), path, deciding=True) for path in paths])
    return answer, answer_datasets(classifier, answer, paths, abstain)


def said_in(report: Dataset, folder: Path) -> highdicom.sr.MeasurementsAndQualitativeEvaluations:
    """The one group of a report, read from a file by highdicom."""
    report.save_as(folder / "report.dcm", enforce_file_format=True)
    (group,) = highdicom.sr.srread(folder / "report.dcm").content.get_image_measurement_groups()
    return group


def numbers_of(group: highdicom.sr.MeasurementsAndQualitativeEvaluations) -> dict[str, tuple[float, str]]:
    return {row.name.meaning: (float(row.value), row.unit.value) for row in group.get_measurements()}


def classes_of(group: highdicom.sr.MeasurementsAndQualitativeEvaluations) -> list[tuple[str, str]]:
    return [(row.name.meaning, row.value.meaning) for row in group.get_qualitative_evaluations()]


def comment_of(group: highdicom.sr.MeasurementsAndQualitativeEvaluations) -> str:
    return next(str(item.value) for item in group[0].ContentSequence if item.name == codes.DCM.Comment)


@pytest.mark.slow
def test_the_report_has_the_numbers_and_classes_of_the_answer(classifier, xray, tmp_path):
    answer, (report, _) = answered(classifier, xray)
    group = said_in(report, tmp_path)
    classes = classifier.metadata["classes"]
    expected = {
        f"Probability of {name}": (pytest.approx(100 * value, abs=0.005), "%")
        for name, value in zip(classes, answer.probabilities)
    }
    expected[f"Operating point of {classes[0]}"] = (33.33, "%")
    expected["Score: how unlike the training images"] = (pytest.approx(answer.novelty, abs=0.005), "{ratio}")
    limit = classifier.evidence.novelty.study_limit
    expected["Score from which on a study is unlike them"] = (pytest.approx(limit, abs=0.005), "{ratio}")
    assert numbers_of(group) == expected
    predicted = classes[int(answer.probabilities.argmax())]
    reached = answer.at_operating_point or ("No class",)
    assert classes_of(group) == [
        ("Most probable class", predicted),
        *(("Reaches its operating point", name) for name in reached),
        *(("In the prediction set", name) for name in answer.prediction_set),
        ("Unlike the training images", "Yes"),
    ]
    comment = comment_of(group)
    assert comment.startswith(f"Most probable class: {predicted}, {100 * answer.probabilities.max():.1f} %.")
    assert comment.endswith("Research only. Not for diagnosis.")


def test_the_report_says_which_model_answered_about_which_image(classifier, model, xray, tmp_path):
    _, (report, _) = answered(classifier, xray)
    group = said_in(report, tmp_path)
    texts = {item.name.meaning: item.value for item in group[0].ContentSequence if item.ValueType == "TEXT"}
    parameters = [item.value for item in group[0].ContentSequence if item.name.value == "111002"]
    assert texts["Algorithm Name"] == BUNDLE_TITLE
    assert texts["Algorithm Version"] == classifier.metadata["version"]
    assert parameters == [
        f"SHA-256 of the model: {classifier.sha256}",
        f"SHA-256 of its weights: {classifier.metadata['weights_sha256']}",
    ]
    source = pydicom.dcmread(xray)
    (image,) = group.source_images
    assert (image.referenced_sop_class_uid, image.referenced_sop_instance_uid) == (
        source.SOPClassUID,
        source.SOPInstanceUID,
    )
    read = highdicom.sr.srread(tmp_path / "report.dcm")
    (context,) = read.content.get_observer_contexts(codes.DCM.Device)
    assert context.observer_identifying_attributes.name == BUNDLE_TITLE
    uids = (source.StudyInstanceUID, source.SeriesInstanceUID, source.SOPInstanceUID, source.SOPClassUID)
    assert read.get_evidence() == [uids]


def test_the_report_is_made_as_viewers_show_it(classifier, xray, tmp_path):
    """OHIF shows numbers without regions in no report of the usual title, and names in no continuous container."""
    _, (report, _) = answered(classifier, xray)
    assert report.ConceptNameCodeSequence[0].CodeValue != codes.cid7021.ImagingMeasurementReport.value
    assert [item.value for item in report.iterall() if item.keyword == "ContinuityOfContent"] == ["SEPARATE"] * 3
    assert report.ContentTemplateSequence[0].TemplateIdentifier == "1500"


def test_both_are_new_series_of_the_study(classifier, xray):
    source = pydicom.dcmread(xray)
    _, datasets = answered(classifier, xray)
    assert [(dataset.Modality, dataset.SeriesNumber) for dataset in datasets] == [("SR", 9901), ("OT", 9902)]
    for dataset in datasets:
        assert dataset.StudyInstanceUID == source.StudyInstanceUID
        assert dataset.SeriesDescription.startswith(f"{BUNDLE_TITLE}, ")
        assert dataset.SeriesDescription.endswith("research only")
        assert len(dataset.SeriesDescription) <= 64
    series = [source.SeriesInstanceUID, *(dataset.SeriesInstanceUID for dataset in datasets)]
    assert len(set(series)) == 3


def identifiers(datasets: list[Dataset]) -> list[str]:
    names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
    return [str(dataset[name].value) for dataset in datasets for name in names]


def test_identifiers_are_those_of_the_image_and_the_model(classifier, model, xray, tmp_path):
    _, first = answered(classifier, xray)
    _, again = answered(Classifier(model), xray)
    assert identifiers(again) == identifiers(first)
    assert again[1].PixelData == first[1].PixelData
    _, other_model = answered(Classifier(changed(model, tmp_path / "other.onnx", version="9.9.9")), xray)
    _, other_image = answered(classifier, change(xray, SOPInstanceUID="1.2.3"))
    for others in (other_model, other_image):
        assert not set(identifiers(others)) & set(identifiers(first)) - {first[0].StudyInstanceUID}


def test_the_picture_refers_to_the_image_and_names_no_patient(classifier, xray):
    _, (_, image) = answered(classifier, xray)
    assert image.SOPClassUID.name == "Secondary Capture Image Storage"
    assert (image.PhotometricInterpretation, image.BitsAllocated, image.BurnedInAnnotation) == ("RGB", 8, "NO")
    assert image.pixel_array.shape == (image.Rows, image.Columns, 3)
    source = pydicom.dcmread(xray)
    (reference,) = image.SourceImageSequence
    assert reference.ReferencedSOPInstanceUID == source.SOPInstanceUID
    assert "LossyImageCompression" not in image
    same = change(xray, PatientName=DataElement("PatientName", "PN", "Else^Somebody"), PatientID="P2")
    assert answered(classifier, same)[1][1].PixelData == image.PixelData


def test_what_was_lost_before_is_lost_in_the_picture(classifier, tmp_path):
    path = write(tmp_path / "xray.dcm", LossyImageCompression="01", LossyImageCompressionRatio="12,5")
    _, (_, image) = answered(classifier, path)
    assert image.LossyImageCompression == "01"


def test_no_class_is_named_if_the_study_is_unlike_and_that_is_asked_for(classifier, xray, tmp_path):
    _, (report, image) = answered(classifier, xray, abstain=True)
    group = said_in(report, tmp_path)
    assert ("Most probable class", "No class") in classes_of(group)
    _, (usual, usual_image) = answered(classifier, xray)
    assert image.PixelData != usual_image.PixelData
    assert report.SOPInstanceUID != usual.SOPInstanceUID, "another content"


@pytest.mark.slow
def test_a_classifier_without_evidence_says_what_it_knows(xray, tmp_path):
    _, (report, _) = answered(Classifier(make_classifier(tmp_path / "plain", xray, fitted=False)), xray)
    group = said_in(report, tmp_path)
    assert len(numbers_of(group)) == 3
    assert [name for name, _ in classes_of(group)] == ["Most probable class"]
    assert "Prediction set: not fitted. Research only." in comment_of(group)


def with_codes(model: Path, out: Path, class_codes: object) -> Classifier:
    return Classifier(changed(model, out, class_codes=class_codes))


def test_a_class_has_its_code_and_others_a_private_one(model, xray, tmp_path):
    code = {"scheme": "SCT", "value": "233604007", "meaning": "Pneumonia"}
    classifier = with_codes(model, tmp_path / "coded.onnx", {"pneumonia": code})
    answer, (report, _) = answered(classifier, xray)
    values = [row.value for row in said_in(report, tmp_path).get_qualitative_evaluations()]
    assert {"no_findings", "pneumonia"} <= set(answer.prediction_set)
    assert ("233604007", "SCT") in {(value.value, value.scheme_designator) for value in values}
    assert ("no_findings", "99DWSKD") in {(value.value, value.scheme_designator) for value in values}
    (scheme,) = report.CodingSchemeIdentificationSequence
    assert scheme.CodingSchemeDesignator == "99DWSKD"


def test_a_study_of_two_images_has_one_answer_that_refers_to_both(classifier, xray, tmp_path):
    other = write(
        tmp_path / "other.dcm", picture()[::-1].copy(), StudyInstanceUID=pydicom.dcmread(xray).StudyInstanceUID
    )
    single = [classifier.predict(path) for path in (xray, other)]
    answer, (report, image) = answered(classifier, xray, other)
    slices = np.concatenate([one.slices for one in single]).astype(np.float64)
    expected = classifier.evidence.calibrated(slices.mean(0))
    np.testing.assert_allclose(answer.probabilities, expected, rtol=1e-6)
    assert answer.novelty == pytest.approx(np.mean([one.novelty for one in single]))
    instances = {str(pydicom.dcmread(path).SOPInstanceUID) for path in (xray, other)}
    assert {
        str(instance) for _, _, instance, _ in highdicom.sr.EnhancedSR.from_dataset(report).get_evidence()
    } == instances
    assert {item.ReferencedSOPInstanceUID for item in image.SourceImageSequence} == instances
    deciding = max((xray, other), key=lambda path: classifier.predict(path).slices[0, expected.argmax()])
    (source,) = said_in(report, tmp_path).source_images
    assert source.referenced_sop_instance_uid == pydicom.dcmread(deciding).SOPInstanceUID


def test_an_image_that_nothing_can_refer_to_is_refused(classifier, xray, tmp_path):
    answer, _ = answered(classifier, xray)
    for names in (["SOPClassUID"], ["StudyInstanceUID", "SOPInstanceUID"]):
        path = write(tmp_path / "odd.dcm", **dict.fromkeys(names))
        with pytest.raises(
            RefusedImage, match=rf"odd.dcm: no {', '.join(names)}, so no report can refer to this image"
        ):
            answer_datasets(classifier, answer, [path])
    with pytest.raises(RefusedImage, match="files of 2 DICOM studies; expected those of one"):
        answer_datasets(classifier, answer, [xray, change(write(tmp_path / "b.dcm"), StudyInstanceUID="1.2.3")])


def test_images_of_a_private_class_can_be_referred_to(classifier, tmp_path):
    path = write(tmp_path / "xray.dcm", SOPClassUID="1.3.46.670589.5.0.3")
    _, (report, _) = answered(classifier, path)
    assert said_in(report, tmp_path).source_images[0].referenced_sop_class_uid == "1.3.46.670589.5.0.3"


def test_classes_of_any_language_are_written_in_utf_8(model, xray, tmp_path):
    code = {"scheme": "SCT", "value": "233604007", "meaning": "肺炎"}
    classifier = with_codes(model, tmp_path / "coded.onnx", {"pneumonia": code})
    _, (report, image) = answered(classifier, xray)
    meanings = {row.value.meaning for row in said_in(report, tmp_path).get_qualitative_evaluations()}
    assert "肺炎" in meanings
    assert (report.SpecificCharacterSet, "SpecificCharacterSet" in image) == ("ISO_IR 192", False)
    assert pydicom.dcmread(tmp_path / "report.dcm").PatientName == pydicom.dcmread(xray).PatientName


def test_an_answer_without_its_deciding_slice_is_refused(classifier, xray):
    with pytest.raises(ValueError, match="answer: expected one with its deciding slice"):
        answer_datasets(classifier, classifier.predict(xray), [xray])
