"""The identifiers of what is written: the same for the same images and model, so that a second run adds nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from pydicom.uid import generate_uid

from dwskd_monai.dicom_out.said import Said
from dwskd_monai.dicom_out.sources import Source

MAKER = "dwskd_monai"
_LONGEST = 64  # characters of a description
# Of what is written. A change of it needs a new number: two different files must not have one identifier.
_EDITION = "1"


@dataclass(frozen=True)
class Series:
    """A new series of a study, with one instance.

    Args:
        study: UID of the study, which is that of the images.
        uid: of the series.
        instance: UID of the instance.
        number: of the series; those of scanners are smaller.
        description: of the series.
        observation: UID of what is said of the study.
        device: UID of the classifier.
    """

    study: str
    uid: str
    instance: str
    number: int
    description: str
    observation: str
    device: str


def report_series(said: Said, sources: Sequence[Source]) -> Series:
    """The series of the report."""
    return _series(said, sources, "report", 9901)


def picture_series(said: Said, sources: Sequence[Source]) -> Series:
    """The series of the picture."""
    return _series(said, sources, "picture", 9902)


def attributes_of(series: Series, said: Said) -> dict[str, Any]:
    """The series and its maker, as highdicom takes them."""
    return {
        "series_instance_uid": series.uid,
        "series_number": series.number,
        "series_description": series.description,
        "sop_instance_uid": series.instance,
        "instance_number": 1,
        "manufacturer": MAKER,
        "manufacturer_model_name": said.title[:64],
        "software_versions": said.version,
        "device_serial_number": said.sha256,
    }


def _series(said: Said, sources: Sequence[Source], kind: str, number: int) -> Series:
    abstained = "no class" if said.predicted is None else ""  # then the content is another
    study = sources[0].study  # images that were moved to another study keep their UIDs
    origin = [_EDITION, said.sha256, kind, abstained, study, *(source.instance for source in sources)]
    end = f", {kind}, research only"
    return Series(
        study=study,
        uid=generate_uid(entropy_srcs=[*origin, "series"]),
        instance=generate_uid(entropy_srcs=[*origin, "instance"]),
        number=number,
        description=said.title.replace("\\", " ")[: _LONGEST - len(end)] + end,
        observation=generate_uid(entropy_srcs=[*origin, "observation"]),
        device=generate_uid(entropy_srcs=[_EDITION, said.sha256]),
    )
