"""DICOM files, series and multi-frame files: headers by pydicom, pixels by ITK's GDCM (see ``dicom_pixels``).

GDCM decodes the compressed transfer syntaxes, applies slope and intercept and turns MONOCHROME1 round, but it reads
a folder with two series, a missing slice or a slope of 0 without an error; so the headers are checked first. Of a
header nothing but geometry, the modality and the patient's identifier leaves this module; no name is ever read.
"""

from __future__ import annotations

import functools
import math
import struct
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.errors import InvalidDicomError

from dwskd_monai.reading.dicom_pixels import read_frame, read_frames
from dwskd_monai.reading.formats import DICOM, files_of_series, is_called_image, is_dicom
from dwskd_monai.reading.geometry import to_image
from dwskd_monai.reading.image import Image, Volume

_DAMAGED = (InvalidDicomError, EOFError, OSError, AttributeError, KeyError, struct.error)  # what pydicom raises
_TAGS = (
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "ImageOrientationPatient",
    "ImagePositionPatient",
    "PixelSpacing",
    "SliceThickness",
    "RescaleSlope",
    "RescaleIntercept",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
)


@dataclass(frozen=True)
class _Frame:
    """Geometry and scale of one frame, as its header has them.

    Args:
        place: how messages call it: the file, or the file and the frame's number.
        orientation: six direction cosines, along a row and along a column.
        position: mm, of the first pixel.
        pixel_spacing: mm between rows and between columns.
    """

    place: str
    orientation: NDArray[np.float64] | None
    position: NDArray[np.float64] | None
    pixel_spacing: tuple[float, float]
    thickness: float
    slope: float
    intercept: float


def is_multiframe(path: Path) -> bool:
    """Whether a DICOM file has several frames."""
    return is_dicom(path) and int(_peek(path, "NumberOfFrames") or 1) > 1


@functools.cache
def patient_of(path: Path) -> str | None:
    """The patient's identifier in a DICOM file, or in the first file of a series; None where there is none."""
    paths = files_of_series(path) if path.is_dir() else [path]
    if not paths or not is_dicom(paths[0]):
        return None
    return str(_peek(paths[0], "PatientID") or "").strip() or None


@functools.cache
def series_of(path: Path) -> tuple[str, ...]:
    """The study and the series of a DICOM file, or of the first file of a series, as messages call them."""
    paths = files_of_series(path) if path.is_dir() else [path]
    if not paths or not is_dicom(paths[0]):
        return ()
    uids = [(kind, str(_peek(paths[0], f"{kind}InstanceUID") or "").strip()) for kind in ("Study", "Series")]
    return tuple(f"DICOM {kind.lower()} {uid}" for kind, uid in uids if uid)


def _peek(path: Path, name: str) -> Any:
    """One attribute of the header; None where it is not there."""
    try:
        return pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[name]).get(name)
    except _DAMAGED as error:
        raise ValueError(f"{path}: a damaged DICOM file, its header cannot be read ({error})") from error


def read_file(path: Path, slice_axis: str, spacing_tolerance: float) -> Image:
    """One DICOM file: a picture, a slice, or a multi-frame volume.

    Raises:
        ValueError: if it is damaged, has color, a slope of 0 or NaN, or frames that do not make a volume.
    """
    header = _header(path)
    frames = _frames(header, path)
    if len(frames) > 1:
        order, step = _sort(frames, path, spacing_tolerance)
        pixels = read_frames(path, order, frames[0].slope, frames[0].intercept)
        return to_image(_volume(pixels, header, frames[order[0]], step), slice_axis, path)
    frame = frames[0]
    pixels = read_frame(path)
    if frame.orientation is None:
        return Image(pixels, (frame.thickness, *frame.pixel_spacing), None, _kind(header))
    normal = np.cross(frame.orientation[:3], frame.orientation[3:])
    return to_image(_volume(pixels, header, frame, normal * frame.thickness), slice_axis, path)


def read_series(folder: Path, slice_axis: str, spacing_tolerance: float) -> Image:
    """A folder with the files of one series, each one slice.

    Raises:
        ValueError: if there is no DICOM file, a second series, a slice of another size or orientation, a missing slice,
            or whatever :func:`read_file` refuses.
    """
    paths = files_of_series(folder)
    if not paths:
        raise ValueError(f"{folder}: a folder without a DICOM file; expected the files of one series")
    for path in paths:
        if not is_dicom(path):
            what = "an empty file (0 bytes)" if path.stat().st_size == 0 else "not a DICOM file, whatever it is called"
            raise ValueError(f"{path}: {what}; expected one slice of the series in {folder}")
    images = [path for path in sorted(folder.iterdir()) if is_called_image(path)]
    strays = [path.name for path in images if not DICOM.has_name(path)]
    if strays:
        raise ValueError(f"{folder}: {strays[0]} among the DICOM files of a series; expected slices only; move it away")
    if len(paths) == 1:
        return read_file(paths[0], slice_axis, spacing_tolerance)
    headers = [_header(path) for path in paths]
    _refuse_mixtures(folder, paths, headers)
    frames = [_frames(header, path)[0] for header, path in zip(headers, paths)]
    order, step = _sort(frames, folder, spacing_tolerance)
    pixels = np.empty((len(paths), int(headers[0].Rows), int(headers[0].Columns)), np.float32)
    for target, index in enumerate(order):
        pixels[target] = read_frame(paths[index])[0]
    return to_image(_volume(pixels, headers[0], frames[order[0]], step), slice_axis, folder)


def _header(path: Path) -> pydicom.Dataset:
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(_TAGS))
        samples = int(header.get("SamplesPerPixel", 1))
        if "Rows" not in header or "Columns" not in header:
            raise ValueError(f"{path}: a DICOM file without pixels, such as a report; expected an image")
    except _DAMAGED as error:
        raise ValueError(f"{path}: a damaged DICOM file, its header cannot be read ({error})") from error
    if samples != 1:
        raise ValueError(f"{path}: expected gray pixels, got {samples} samples per pixel (color)")
    return header


def _frames(header: pydicom.Dataset, path: Path) -> list[_Frame]:
    """All frames of a file; functional groups (Enhanced CT and MR) overrule the file's own attributes."""
    count = int(header.get("NumberOfFrames", 1) or 1)
    shared = _groups(header.get("SharedFunctionalGroupsSequence"))
    own = list(header.get("PerFrameFunctionalGroupsSequence") or [])
    if count > 1 and len(own) != count:
        raise ValueError(
            f"{path}: {count} frames, positions of {len(own)}; expected an enhanced multi-frame file, whose frames are "
            "the slices of one volume"
        )
    frames = []
    for index in range(count):
        groups = shared | (_groups([own[index]]) if own else {})
        place = f"{path}" if count == 1 else f"{path}, frame {index + 1}"

        def value(name: str, groups: dict[str, Any] = groups) -> Any:
            return groups.get(name, header.get(name))

        slope, intercept = (_scale(value(f"Rescale{name}"), name, place) for name in ("Slope", "Intercept"))
        orientation = value("ImageOrientationPatient")
        position = value("ImagePositionPatient")
        spacing = value("PixelSpacing") or (1.0, 1.0)
        frames.append(
            _Frame(
                place,
                np.array(orientation, float) if orientation else None,
                np.array(position, float) if position else None,
                (float(spacing[0]), float(spacing[1])),
                float(value("SliceThickness") or 1.0),
                slope,
                intercept,
            )
        )
    scales = {(frame.slope, frame.intercept) for frame in frames}
    if len(scales) > 1:  # GDCM applies the first to all
        raise ValueError(f"{path}: its frames have {len(scales)} different slopes or intercepts; expected one for all")
    return frames


def _groups(sequence: Any) -> dict[str, Any]:
    """Attributes of all functional groups of one item, by keyword."""
    found: dict[str, Any] = {}
    for item in sequence or []:
        for group in item:
            if group.VR == "SQ" and group.value:
                found |= {element.keyword: element.value for element in group.value[0]}
    return found


def _scale(value: Any, name: str, place: str) -> float:
    if value is None:
        return 1.0 if name == "Slope" else 0.0
    number = float(value)
    if not math.isfinite(number) or (name == "Slope" and number == 0):
        raise ValueError(f"{place}: Rescale{name} is {number:g}; its pixels have no meaning")
    return number


def _refuse_mixtures(folder: Path, paths: Sequence[Path], headers: Sequence[pydicom.Dataset]) -> None:
    first: dict[str, Path] = {}
    for path, header in zip(paths, headers):
        first.setdefault(str(header.get("SeriesInstanceUID", "")), path)
    if len(first) > 1:
        counts = Counter(str(header.get("SeriesInstanceUID", "")) for header in headers)
        shown = ", ".join(f"{counts[uid]} files like {path.name}" for uid, path in first.items())
        raise ValueError(
            f"{folder}: {len(first)} DICOM series in one folder ({shown}); expected one; give each a folder of its "
            "own, or name the files in a datalist"
        )
    multiframe = [path.name for path, header in zip(paths, headers) if int(header.get("NumberOfFrames", 1) or 1) > 1]
    if multiframe:
        raise ValueError(
            f"{folder}: {multiframe[0]} is a volume (multi-frame) among {len(paths)} files of one series; "
            "expected slices only"
        )
    sizes = {(int(header.Rows), int(header.Columns)): path for path, header in zip(paths, headers)}
    if len(sizes) > 1:
        shown = ", ".join(f"{path.name} {rows} × {columns}" for (rows, columns), path in sizes.items())
        raise ValueError(f"{folder}: slices of different sizes in one series ({shown})")


def _sort(frames: Sequence[_Frame], path: Path, tolerance: float) -> tuple[list[int], NDArray[np.float64]]:
    """Order of the frames along their normal, and the step in mm from one to the next."""
    for frame in frames:
        if frame.orientation is None or frame.position is None:
            raise ValueError(f"{frame.place}: no ImagePositionPatient or ImageOrientationPatient; its place is unknown")
    orientations = np.stack([frame.orientation for frame in frames if frame.orientation is not None])
    positions = np.stack([frame.position for frame in frames if frame.position is not None])
    other = np.abs(orientations - orientations[0]).max(1) > 1e-3
    spacings = np.array([frame.pixel_spacing for frame in frames])
    other |= np.abs(spacings / spacings[0] - 1).max(1) > 1e-3
    if other.any():
        raise ValueError(
            f"{frames[int(other.argmax())].place}: another orientation or pixel spacing than {frames[0].place}; "
            "expected the parallel slices of one volume"
        )
    heights = positions @ np.cross(orientations[0][:3], orientations[0][3:])
    order = [int(index) for index in heights.argsort(kind="stable")]
    gaps = np.diff(heights[order])
    usual = float(np.median(gaps))
    if (gaps < 1e-3).any():
        index = int(gaps.argmin())
        raise ValueError(
            f"{path}: two slices at one position: {_pair(frames, order, index)}; expected one volume, not repeated "
            "acquisitions"
        )
    wrong = np.abs(gaps - usual) > tolerance * usual
    if wrong.any():
        index = int((np.abs(gaps - usual)).argmax())
        raise ValueError(
            f"{path}: unevenly spaced slices: {gaps[index]:.4g} mm between {_pair(frames, order, index)}, "
            f"{usual:.4g} mm elsewhere ({int(wrong.sum())} such gaps of {len(gaps)}); is a slice missing? "
            f"Export the series again, or raise spacing_tolerance ({tolerance:g}) if this is meant"
        )
    return order, (positions[order[-1]] - positions[order[0]]) / (len(order) - 1)


def _pair(frames: Sequence[_Frame], order: Sequence[int], index: int) -> str:
    first = frames[order[index]].place
    second = frames[order[index + 1]].place
    return f"{Path(first).name} and {Path(second).name}"


def _volume(pixels: NDArray[np.float32], header: pydicom.Dataset, frame: _Frame, step: NDArray[np.float64]) -> Volume:
    """Axes slice, row, column; DICOM's left-posterior-superior mm become NIfTI's right-anterior-superior."""
    assert frame.orientation is not None
    rows, columns = frame.pixel_spacing
    affine = np.eye(4)
    affine[:3, :3] = np.stack([step, frame.orientation[3:] * rows, frame.orientation[:3] * columns], axis=1)
    affine[:2] *= -1
    return Volume(pixels, _kind(header), affine)


def _kind(header: pydicom.Dataset) -> str:
    return str(header.get("Modality") or "of unknown modality")
