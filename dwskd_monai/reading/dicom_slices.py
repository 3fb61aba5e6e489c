"""Where the slices of a DICOM series or multi-frame file lie: their order, their distance, and what is wrong."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.reading.dicom_header import Header
from dwskd_monai.reading.geometry import BETWEEN_PIXELS
from dwskd_monai.reading.refusal import RefusedImage

# What tells the shape of a pixel: mm in the patient, on the detector, on the film, or how its height and width compare
_SHAPES = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing", "PixelAspectRatio")
# What images at one position may differ in: times of a perfusion, echoes, weightings of a diffusion
_REPEATED = (
    "ImageType", "AcquisitionNumber", "TemporalPositionIdentifier", "TriggerTime", "EchoTime", "DiffusionBValue",
)  # fmt: skip
TAGS = ("ImageOrientationPatient", "ImagePositionPatient", "SliceThickness", *_SHAPES, *_REPEATED)
_ROUNDING = 0.1  # mm, to which many exports round positions; not a gap, and not a missing slice
_SKEW = 0.05  # by how much direction cosines may miss a length of 1, and a right angle


@dataclass(frozen=True)
class Slice:
    """Where one slice lies, as its header has it.

    Args:
        header: of its file or frame.
        orientation: six direction cosines, along a row and along a column.
        position: mm, of the first pixel.
        pixel_spacing: mm between rows and between columns.
    """

    header: Header
    orientation: NDArray[np.float64] | None
    position: NDArray[np.float64] | None
    pixel_spacing: tuple[float, float]

    @property
    def thickness(self) -> float:
        """In mm; 1 if there is none."""
        thickness = self.header.number("SliceThickness") or 1.0
        if thickness < 0:
            raise self.header.refusal(f"{self.header.named('SliceThickness')} is {thickness:g}; expected more than 0")
        return thickness


def slice_of(header: Header) -> Slice:
    """Where a slice lies.

    Raises:
        RefusedImage: if an attribute has a value without a meaning.
    """
    orientation = header.numbers("ImageOrientationPatient", 6)
    position = header.numbers("ImagePositionPatient", 3)
    return Slice(
        header,
        None if orientation is None else _checked(np.array(orientation), header),
        None if position is None else np.array(position),
        _pixel_spacing(header, orientation is not None),
    )


def _checked(orientation: NDArray[np.float64], header: Header) -> NDArray[np.float64]:
    row, column = orientation[:3], orientation[3:]
    misses = np.array([np.linalg.norm(row) - 1, np.linalg.norm(column) - 1, row @ column], float)
    if np.abs(misses).max() > _SKEW:
        shown = "\\".join(f"{value:g}" for value in orientation)
        raise header.refusal(
            f"{header.named('ImageOrientationPatient')} is {shown}; expected two directions of length 1 at a right "
            "angle",
            "geometry",
        )
    return orientation


def _pixel_spacing(header: Header, is_slice: bool) -> tuple[float, float]:
    """In mm between rows and columns, by the first attribute that tells; ones if none does.

    Spacing on a detector or a film is larger than in the patient, by the same factor along rows and columns. An aspect
    ratio, such as ``2\\1`` of pixels that are twice as high as wide, has no unit at all. A picture without a place may
    have 0\\0, which some scanners write for a spacing that they do not know.
    """
    for name in _SHAPES:
        spacing = header.numbers(name, 2)
        if spacing is None or (not any(spacing) and not (is_slice and name == "PixelSpacing")):
            continue
        rows, columns = spacing
        is_ratio = name == "PixelAspectRatio"
        if is_ratio and min(spacing) > 0:
            rows, columns = rows / columns, 1.0
        if min(rows, columns) < BETWEEN_PIXELS[0] or max(rows, columns) > BETWEEN_PIXELS[1]:
            shown = "\\".join(f"{value:g}" for value in spacing)
            unit = "" if is_ratio else f", in mm ({BETWEEN_PIXELS[0]:g} to {BETWEEN_PIXELS[1]:g})"
            raise header.refusal(f"{header.named(name)} is {shown}; expected two numbers greater than 0{unit}")
        return rows, columns
    return 1.0, 1.0


def sort_slices(slices: Sequence[Slice], path: Path, tolerance: float) -> tuple[list[int], NDArray[np.float64]]:
    """Order of the slices along their normal, and the step in mm from one to the next.

    Raises:
        RefusedImage: if they are not parallel, two are at one position, or one is missing.
    """
    for place in slices:
        if place.orientation is None or place.position is None:
            raise place.header.refusal(
                _in_frame(place, "no ImagePositionPatient or ImageOrientationPatient; its place is unknown"), "geometry"
            )
    orientations = np.stack([place.orientation for place in slices if place.orientation is not None])
    positions = np.stack([place.position for place in slices if place.position is not None])
    _refuse_others(slices, orientations)
    heights = positions @ np.cross(orientations[0][:3], orientations[0][3:])
    order = [int(index) for index in heights.argsort(kind="stable")]
    _refuse_gaps(heights[order], [slices[index] for index in order], path, tolerance)
    return order, (positions[order[-1]] - positions[order[0]]) / (len(order) - 1)


def _refuse_others(slices: Sequence[Slice], orientations: NDArray[np.float64]) -> None:
    other = np.abs(orientations - orientations[0]).max(1) > 1e-3
    spacings = np.array([place.pixel_spacing for place in slices])
    other |= np.abs(spacings / spacings[0] - 1).max(1) > 1e-3
    if other.any():
        place = slices[int(other.argmax())]
        raise place.header.refusal(
            _in_frame(place, f"another orientation or pixel spacing than {slices[0].header.place}; ")
            + "expected the parallel slices of one volume",
            "geometry",
        )


def _refuse_gaps(heights: NDArray[np.float64], slices: Sequence[Slice], path: Path, tolerance: float) -> None:
    gaps = np.diff(heights)
    usual = float(np.median(gaps))
    if (gaps < 1e-3).any():
        index = int(gaps.argmin())
        places = 1 + int((gaps >= 1e-3).sum())
        raise RefusedImage(
            path,
            f"two slices at one position: {_pair(slices, index)}; {len(slices)} slices lie at {places} positions"
            f"{_differing(slices)}; expected one volume, not repeated acquisitions; give each a folder of its own",
            "geometry",
        )
    wrong = np.abs(gaps - usual) > tolerance * usual
    if wrong.any() and not _is_rounded(heights):
        index = int((np.abs(gaps - usual)).argmax())
        raise RefusedImage(
            path,
            f"unevenly spaced slices: {gaps[index]:.4g} mm between {_pair(slices, index)}, "
            f"{usual:.4g} mm elsewhere ({int(wrong.sum())} such gaps of {len(gaps)}); is a slice missing? "
            f"Export the series again, or raise spacing_tolerance ({tolerance:g}) if this is meant",
            "geometry",
        )


def _differing(slices: Sequence[Slice]) -> str:
    names = [name for name in _REPEATED if len({place.header.text(name) for place in slices}) > 1]
    return f" and differ in {', '.join(names)}" if names else ""


def _is_rounded(heights: NDArray[np.float64]) -> bool:
    """Whether rounding alone makes gaps differ: 0.6, 0.6, 0.7 mm where slices are 0.625 mm apart."""
    step = (heights[-1] - heights[0]) / (len(heights) - 1)
    even = heights[0] + step * np.arange(len(heights))
    off = np.abs(heights - even).max()
    return bool(step > 2 * _ROUNDING and off < _ROUNDING + 1e-6 and np.abs(np.diff(heights) - step).max() < _ROUNDING)


def _pair(slices: Sequence[Slice], index: int) -> str:
    return f"{slices[index].header.place} and {slices[index + 1].header.place}"


def _in_frame(place: Slice, reason: str) -> str:
    """A reason with the number of its frame, if the file has several."""
    number = place.header.frame
    return reason if number is None else f"frame {number}: {reason}"
