"""The Structured Report: TID 1500, in an Enhanced SR.

Its title is a private one. Under the usual title, Imaging Measurement Report, OHIF expects that numbers belong to
regions of the image: it shows no class, and no probability. Under any other title it shows all items as text.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from highdicom import sr
from pydicom.dataset import Dataset
from pydicom.sr.codedict import codes

from dwskd_monai.dicom_out import concepts
from dwskd_monai.dicom_out.said import ClassSaid, Said
from dwskd_monai.dicom_out.series import MAKER, Series, attributes_of
from dwskd_monai.dicom_out.sources import Source

Codes = Mapping[str, Mapping[str, str]]


class _Report(sr.EnhancedSR):
    """An Enhanced SR that leaves the patient and the study to ``modules``."""

    def copy_patient_and_study_information(self, dataset: Dataset) -> None:
        """Do nothing; highdicom would decode values, and knows no images of a private or retired class."""


def report(
    said: Said, codes_of_classes: Codes, sources: Sequence[Source], deciding: Source | None, series: Series
) -> Dataset:
    """The report of a study, without what is copied from its images.

    Args:
        said: what is said of it.
        codes_of_classes: ``class_codes`` of the classifier's metadata.
        sources: its DICOM files; all of them are evidence.
        deciding: the file of the deciding slice, to which a viewer jumps; None: no single file is.
        series: identifiers of the report.
    """
    attributes = sr.DeviceObserverIdentifyingAttributes(series.device, said.title, MAKER)
    device = sr.ObserverContext(codes.DCM.Device, attributes)
    content = sr.MeasurementReport(
        observation_context=sr.ObservationContext(observer_device_context=device),
        procedure_reported=codes.SCT.ImagingProcedure,
        imaging_measurements=[_group(said, codes_of_classes, sources if deciding is None else [deciding], series)],
        title=concepts.TITLE,
    )
    _show_names(content[0])
    return _Report(
        evidence=[_evidence(source) for source in sources],
        content=content,
        **attributes_of(series, said),
        is_complete=True,
        coding_schemes=concepts.schemes(),
    )


def _show_names(container: Dataset) -> None:
    """Let viewers show each item with its name; the content of a continuous container is shown as one text."""
    container.ContinuityOfContent = "SEPARATE"
    for item in container.ContentSequence:
        if item.ValueType == "CONTAINER":
            _show_names(item)


def _group(
    said: Said, codes_of_classes: Codes, sources: Sequence[Source], series: Series
) -> sr.MeasurementsAndQualitativeEvaluations:
    group = sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(series.observation, said.lines()[0]),
        algorithm_id=sr.AlgorithmIdentification(
            name=said.title,
            version=said.version,
            manufacturer=MAKER,
            parameters=[f"SHA-256 of the model: {said.sha256}", f"SHA-256 of its weights: {said.weights_sha256}"],
        ),
        measurements=_numbers(said),
        qualitative_evaluations=_evaluations(said, codes_of_classes),
        source_images=[sr.SourceImageForMeasurementGroup(source.storage, source.instance) for source in sources],
    )
    comment = sr.TextContentItem(codes.DCM.Comment, " ".join(said.lines()), sr.RelationshipTypeValues.CONTAINS)
    items = group[0].ContentSequence
    items.insert(next(place for place, item in enumerate(items) if item.ValueType == "NUM"), comment)
    return group


def _numbers(said: Said) -> list[sr.Measurement]:
    numbers = []
    for row in said.classes:
        numbers.append(_percent(concepts.of_number("probability", row.name), row.probability))
        if row.threshold is not None:
            numbers.append(_percent(concepts.of_number("operating point", row.name), row.threshold))
    for name, value in ((concepts.NOVELTY, said.novelty.score), (concepts.NOVELTY_LIMIT, said.novelty.limit)):
        if value is not None:
            numbers.append(sr.Measurement(name, round(value, 2), concepts.RATIO))
    return numbers


def _percent(name: sr.CodedConcept, share: float) -> sr.Measurement:
    return sr.Measurement(name, round(100 * share, 2), concepts.PERCENT)


def _evaluations(said: Said, known: Codes) -> list[sr.QualitativeEvaluation]:
    def classes(name: sr.CodedConcept, rows: Sequence[ClassSaid]) -> list[sr.QualitativeEvaluation]:
        values = [concepts.of_class(row.name, known) for row in rows] or [concepts.NO_CLASS]
        return [sr.QualitativeEvaluation(name, value) for value in values]

    found = classes(concepts.MOST_PROBABLE, [] if said.predicted is None else [said.predicted])
    if any(row.threshold is not None for row in said.classes):
        found += classes(concepts.REACHES, [row for row in said.classes if row.reached])
    if said.prediction_set is not None:
        found += classes(concepts.IN_SET, said.prediction_set)
    if said.novelty.score is not None and said.novelty.limit is not None:
        answer = codes.SCT.Yes if said.novelty.is_unlike else codes.SCT.No
        found.append(sr.QualitativeEvaluation(concepts.UNLIKE, answer))
    return found


def _evidence(source: Source) -> Dataset:
    """What highdicom wants to know of an image; the patient and the study are copied later."""
    dataset = Dataset()
    dataset.StudyInstanceUID = source.study
    dataset.SeriesInstanceUID = source.series
    dataset.SOPClassUID = source.storage
    dataset.SOPInstanceUID = source.instance
    empty = ("PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate")
    for name in (*empty, "StudyTime"):
        setattr(dataset, name, None)
    return dataset
