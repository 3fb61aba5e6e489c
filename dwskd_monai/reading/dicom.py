"""DICOM files, series and multi-frame files.

Headers are checked before any pixel is read (``dicom_header``, ``dicom_slices``), since decoders read a folder with two
series, a missing slice or a slope of 0 without an error. The kind of image that a header names (``dicom_kind``,
``dicom_series``) is judged first, so that a picture of a screen is refused as one. ``dicom_pixels`` gives the stored
numbers, ``dicom_values`` says what they mean. From a header, only geometry, modality, the kind of image, and the
identifiers of series, instance and patient leave this module; no name is ever read.
"""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.reading import dicom_kind, dicom_slices, dicom_values
from dwskd_monai.reading.dicom_bits import numbers_of
from dwskd_monai.reading.dicom_header import Header, groups_of, read_header
from dwskd_monai.reading.dicom_kind import refuse_color, refuse_no_image, says_of, says_of_series
from dwskd_monai.reading.dicom_pixels import layout_of, read_frames
from dwskd_monai.reading.dicom_series import read_headers, refuse_mixtures, refuse_several_series, strays
from dwskd_monai.reading.dicom_slices import Slice, slice_of, sort_slices
from dwskd_monai.reading.dicom_values import CT, darken_padding, meaning_of
from dwskd_monai.reading.formats import DICOM, files_of_series, is_dicom
from dwskd_monai.reading.geometry import to_image
from dwskd_monai.reading.image import Image, Judge, Origin, Pixels, Volume
from dwskd_monai.reading.refusal import RefusedImage, raise_all, refuse_unwanted

_TAGS = (
    "SOPClassUID",
    "SOPInstanceUID",
    "SeriesInstanceUID",
    "Modality",
    "Rows",
    "Columns",
    "SamplesPerPixel",
    "NumberOfFrames",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "SharedFunctionalGroupsSequence",
    "PerFrameFunctionalGroupsSequence",
    "PatientID",
    "StudyInstanceUID",
    *dicom_kind.TAGS,
    *dicom_slices.TAGS,
    *dicom_values.TAGS,
)
_SCANNER = {"manufacturer": "Manufacturer", "model": "ManufacturerModelName", "site": "InstitutionName"}
_OF_ORIGIN = ("BitsStored", "PhotometricInterpretation", "ViewPosition", *_SCANNER.values())
_T = TypeVar("_T")
_logger = logging.getLogger(__name__)
_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}")
_MOST_PIXELS = 2**31  # of a volume: 8 GiB once it is read


def is_multiframe(path: Path) -> bool:
    """Whether a DICOM file has several frames; False if its header cannot be read."""
    if not is_dicom(path):
        return False
    try:
        return read_header(path, ["NumberOfFrames"]).whole("NumberOfFrames", 1) > 1
    except RefusedImage:  # reading names what is wrong
        return False


@functools.cache
def patient_of(path: Path) -> str | None:
    """The patient's identifier in a DICOM file, or in the first file of a series; None if there is none."""
    paths = files_of_series(path) if path.is_dir() else [path]
    if not paths or not is_dicom(paths[0]):
        return None
    return read_header(paths[0], ["SpecificCharacterSet", "PatientID"]).decoded("PatientID") or None


@functools.cache
def series_of(path: Path) -> tuple[str, ...]:
    """The study and the series of a DICOM file, or of the first file of a series, as messages name them."""
    paths = files_of_series(path) if path.is_dir() else [path]
    if not paths or not is_dicom(paths[0]):
        return ()
    header = read_header(paths[0], ["StudyInstanceUID", "SeriesInstanceUID"])
    uids = [(kind, header.text(f"{kind}InstanceUID")) for kind in ("Study", "Series")]
    return tuple(f"DICOM {kind.lower()} {uid}" for kind, uid in uids if uid)


def origin_of(path: Path) -> Origin:
    """The bits, the kind of X-ray and the scanner that a file's header names."""
    header = read_header(path, _OF_ORIGIN)
    scanner = {name: header.text(tag) for name, tag in _SCANNER.items()}
    colors = header.text("PhotometricInterpretation")
    return Origin(DICOM.name, str(header.whole("BitsStored", 0)), colors, header.text("ViewPosition"), **scanner)


def size_of(path: Path) -> tuple[int, int, int]:
    """Frames, rows and columns of a file, by its header."""
    header = read_header(path, ("Rows", "Columns", "NumberOfFrames"))
    return header.whole("NumberOfFrames", 1), header.whole("Rows"), header.whole("Columns")


def read_file(path: Path, slice_axis: str, spacing_tolerance: float, judge: Judge | None = None) -> Image:
    """One DICOM file: a picture, a slice, or a multi-frame volume.

    Raises:
        RefusedImage: if it is damaged, is of an unwanted kind, or has color, values without a meaning, or frames that
            do not make a volume.
    """
    header = read_header(path, _TAGS)
    refuse_no_image(header)
    refuse_unwanted(path, says_of(header), judge)
    refuse_color(header)
    slices = _slices(header)
    step: NDArray[np.float64] | None = None
    order = [0]
    if len(slices) > 1:
        order, step = sort_slices(slices, path, spacing_tolerance)
    pixels, padding = _read_pixels(path, [(header, order)], [slices[index] for index in order])
    first = slices[order[0]]
    says = says_of(first.header)
    if first.orientation is None:
        return Image(pixels, (first.thickness, *first.pixel_spacing), None, _kind(header), padding, says)
    if step is None:
        step = np.cross(first.orientation[:3], first.orientation[3:]) * first.thickness
    return to_image(_volume(pixels, first, step, padding, says), slice_axis, path)


def read_series(folder: Path, slice_axis: str, spacing_tolerance: float, judge: Judge | None = None) -> Image:
    """A folder with the files of one series, each of them one slice.

    Raises:
        RefusedImage: if there is no DICOM file, a second series, a slice of another size or orientation, a missing
            slice, or whatever :func:`read_file` refuses; all files that cannot be used are named.
    """
    paths = files_of_series(folder)
    if not paths:
        raise RefusedImage(folder, "a folder without a DICOM file; expected the files of one series", "format")
    bad = strays(folder, paths)
    if len(paths) == 1 and not bad:
        return read_file(paths[0], slice_axis, spacing_tolerance, judge)
    headers, damaged = read_headers([path for path in paths if is_dicom(path)], _TAGS)
    bad += damaged
    refuse_several_series(folder, headers, bad)
    headers, not_images = _each(headers, _image)
    if headers:
        refuse_unwanted(folder, says_of_series(headers), judge)
    slices, wrong = _each(headers, _slice)
    raise_all([*bad, *not_images, *wrong], folder, len(paths))
    try:
        refuse_mixtures(folder, headers, [_frame_count(header) for header in headers])
        order, step = sort_slices(slices, folder, spacing_tolerance)
    except RefusedImage as refusal:
        refusal.series = refusal.series or headers[0].series
        raise
    parts = [(headers[index], [0]) for index in order]
    pixels, padding = _read_pixels(folder, parts, [slices[index] for index in order])
    volume = _volume(pixels, slices[order[0]], step, padding, says_of_series([headers[index] for index in order]))
    return to_image(volume, slice_axis, folder)


def _each(headers: Sequence[Header], of: Callable[[Header], _T]) -> tuple[list[_T], list[RefusedImage]]:
    """What a function returns for each header, and a refusal for each header that it refuses."""
    results = []
    refusals = []
    for header in headers:
        try:
            results.append(of(header))
        except RefusedImage as refusal:
            refusals.append(refusal)
    return results, refusals


def _image(header: Header) -> Header:
    refuse_no_image(header)
    return header


def _slice(header: Header) -> Slice:
    """Where a slice lies; refused for what its own header says, before its neighbors and pixels are looked at."""
    refuse_color(header)
    layout_of(header, _frame_count(header))
    return slice_of(header)


def _frame_count(header: Header) -> int:
    count = header.whole("NumberOfFrames", 1) or 1  # some programs write 0 for one frame
    if count < 0:
        raise header.refusal(f"NumberOfFrames is {count}; expected 1 or more")
    return count


def _slices(header: Header) -> list[Slice]:
    """Where the frames of a file lie; functional groups (Enhanced CT and MR) override the file's own attributes."""
    count = _frame_count(header)
    shared = groups_of(header, header.items("SharedFunctionalGroupsSequence"))
    own = header.items("PerFrameFunctionalGroupsSequence")
    if count == 1:
        groups = groups_of(header, own[:1]) + shared
        return [slice_of(header.of_frame(None, groups) if groups else header)]
    if len(own) != count:
        raise header.refusal(
            f"{count} frames, positions of {len(own)}; expected an enhanced multi-frame file, whose frames are the "
            "slices of one volume",
            "geometry",
        )
    frames = [header.of_frame(index + 1, groups_of(header, [item]) + shared) for index, item in enumerate(own)]
    return [slice_of(frame) for frame in frames]


def _read_pixels(
    path: Path, parts: Sequence[tuple[Header, Sequence[int]]], slices: Sequence[Slice]
) -> tuple[Pixels, float]:
    """The values ``(D, H, W)`` of slices, and the share of them that is padding.

    Args:
        path: of the image.
        parts: each file, and the numbers of its frames, in the order of the slices.
        slices: of these frames.
    """
    layouts = [layout_of(header, _frame_count(header)) for header, _ in parts]
    shape = (len(slices), layouts[0].rows, layouts[0].columns)
    if np.prod(shape, dtype=float) > _MOST_PIXELS:
        raise parts[0][0].refusal(f"{' × '.join(map(str, shape))} pixels; expected at most {_MOST_PIXELS:,}")
    pixels: Pixels | None = None
    masks: dict[int, NDArray[np.bool_]] = {}
    refusals = []
    cleared = 0
    target = 0
    for (header, numbers), layout in zip(parts, layouts):
        try:
            frame = read_frames(header, layout)
            for index, number in enumerate(numbers, target):
                meaning = meaning_of(slices[index].header, layout)
                stored, has_others = numbers_of(frame(number), layout, header)
                cleared += has_others
                mask = meaning.padding_of(stored)
                if mask is not None:
                    masks[index] = mask
                values = meaning.values(stored, layout)
                if pixels is None:  # now that there are pixels to fill it
                    pixels = np.empty(shape, values.dtype)
                elif pixels.dtype != values.dtype:
                    pixels = pixels.astype(np.float32, copy=False)
                pixels[index] = values
        except RefusedImage as refusal:
            refusals.append(refusal)
        target += len(numbers)
    raise_all(refusals, path, len(parts))
    if cleared:
        reason = "bits above BitsStored are set in %d of %d slices; they were cleared, as those of an overlay"
        _logger.warning(f"%s: {reason}", path, cleared, len(slices))
    assert pixels is not None
    header = parts[0][0]
    return pixels, darken_padding(pixels, masks, header.text("Modality") == CT, header)


def _volume(pixels: Pixels, first: Slice, step: NDArray[np.float64], padding: float, says: Mapping[str, str]) -> Volume:
    """Axes slice, row, column; DICOM's left-posterior-superior mm become NIfTI's right-anterior-superior."""
    assert first.orientation is not None
    rows, columns = first.pixel_spacing
    affine = np.eye(4)
    affine[:3, :3] = np.stack([step, first.orientation[3:] * rows, first.orientation[:3] * columns], axis=1)
    affine[:2] *= -1
    return Volume(pixels, _kind(first.header), affine, "ImagePositionPatient, PixelSpacing", padding, says)


def _kind(header: Header) -> str:
    modality = header.text("Modality")
    return modality if _MODALITY.fullmatch(modality) else "of unknown modality"
