"""The DICOM files that a classifier judged: what refers to them, and which of them is the deciding slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from dwskd_monai.reading.dicom_header import Header, read_header
from dwskd_monai.reading.formats import files_of_series, is_dicom
from dwskd_monai.reading.refusal import RefusedImage, raise_all
from dwskd_monai.runtime.deciding import DecidingSlice

_IDENTIFIERS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPClassUID", "SOPInstanceUID")
_LOSS = "LossyImageCompression"
_PATIENT = "PatientID"
_TAGS = (*_IDENTIFIERS, _LOSS, "ImagePositionPatient", "SpecificCharacterSet", _PATIENT)
_ALONG = {"sagittal": 0, "coronal": 1, "axial": 2}  # the coordinate that grows from slice to slice, as they are read


@dataclass(frozen=True)
class Source:
    """One DICOM file.

    Args:
        path: of the file.
        study, series, storage, instance: its identifiers.
        position: of its first pixel, in mm; None: unknown.
        is_lossy: whether its pixels were ever compressed with a loss.
    """

    path: Path
    study: str
    series: str
    storage: str
    instance: str
    position: tuple[float, ...] | None
    is_lossy: bool


def dicom_files(image: Path) -> list[Path]:
    """The DICOM files of an image, which is a file or the folder of a series; none if it is of another format."""
    if image.is_dir():
        return files_of_series(image)
    return [image] if is_dicom(image) else []


def read_sources(paths: Sequence[Path]) -> list[Source]:
    """The headers of the DICOM files of one study, in the order of their instance UIDs.

    Raises:
        RefusedImage: if nothing can refer to one of them, or if they are of several studies or patients.
    """
    if not paths:
        raise ValueError("sources: expected the DICOM files of a study, got none")
    sources = []
    refusals = []
    patients = set()
    for path in paths:
        try:
            header = read_header(path, _TAGS)
            sources.append(_source(header))
            patients.add(header.decoded(_PATIENT))
        except RefusedImage as refusal:
            refusals.append(refusal)
    raise_all(refusals, paths[0].parent, len(paths))
    studies = {source.study for source in sources}
    if len(studies) > 1:
        raise RefusedImage(paths[0].parent, f"files of {len(studies)} DICOM studies; expected those of one", "header")
    count = len(patients - {""})
    if count > 1:  # the answer would be filed with one of them
        reason = f"images of {count} patients in one DICOM study; expected those of one"
        raise RefusedImage(paths[0].parent, reason, "header")
    return sorted(sources, key=lambda source: source.instance)


def source_of(sources: Sequence[Source], deciding: DecidingSlice) -> Source | None:
    """The file of the deciding slice; None if no single file is known to be it.

    Axial slices are read from inferior to superior, coronal ones from anterior to posterior, sagittal ones from right
    to left. In each case the coordinate across them grows; an oblique series may be cut into others than its own.
    """
    files = [source for source in sources if deciding.path in (source.path, source.path.parent)]
    if len(files) == 1:
        return files[0]
    if len(files) != deciding.count or deciding.plane not in _ALONG:
        return None
    places = [(source.position[_ALONG[deciding.plane]], source) for source in files if source.position is not None]
    if len({place for place, _ in places}) != deciding.count:
        return None
    return sorted(places, key=lambda place: place[0])[deciding.number][1]


def _source(header: Header) -> Source:
    missing = [name for name in _IDENTIFIERS if not header.text(name)]
    if missing:
        raise header.refusal(f"no {', '.join(missing)}, so no report can refer to this image; export it again")
    study, series, storage, instance = (header.text(name) for name in _IDENTIFIERS)
    position = header.numbers("ImagePositionPatient")
    return Source(header.path, study, series, storage, instance, position, header.text(_LOSS) == "01")
