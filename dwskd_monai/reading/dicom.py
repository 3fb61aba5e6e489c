"""DICOM files, series and multi-frame files.

Headers are checked before any pixel is read (``dicom_header``, ``dicom_slices``), since decoders read a folder with two
series, a missing slice or a slope of 0 without an error. ``dicom_pixels`` gives the stored numbers, ``dicom_values``
says what they mean. Of a header nothing but geometry, the modality, identifiers of series and instance and that of the
patient leaves this module; no name is ever read.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.reading import dicom_slices, dicom_values
from dwskd_monai.reading.dicom_header import Header, groups_of, read_header
from dwskd_monai.reading.dicom_pixels import layout_of, numbers_of, read_frames
from dwskd_monai.reading.dicom_slices import Slice, slice_of, sort_slices
from dwskd_monai.reading.dicom_values import CT, darken_padding, meaning_of
from dwskd_monai.reading.formats import DICOM, files_of_series, is_called_image, is_dicom
from dwskd_monai.reading.geometry import to_image
from dwskd_monai.reading.image import Image, Pixels, Volume
from dwskd_monai.reading.refusal import RefusedImage

# What a header says of the kind of image, and the attribute that says it
SAYS = {
    "modality": "Modality",
    "sop_class": "SOPClassUID",
    "image_type": "ImageType",
    "body_part": "BodyPartExamined",
    "view": "ViewPosition",
    "rescale_type": "RescaleType",
    "conversion": "ConversionType",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
_OF_ONE_SERIES = ("Modality", "SOPClassUID", "RescaleType", "StudyInstanceUID", "BodyPartExamined")
_ACROSS = ("A", "P")  # where the rows of a lateral view go: to anterior or posterior
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
    *SAYS.values(),
    "PatientOrientation",
    "PatientID",
    "StudyInstanceUID",
    "ViewCodeSequence",
    "AnatomicRegionSequence",
    *dicom_slices.TAGS,
    *dicom_values.TAGS,
)
_NO_IMAGES = {"SEG": "masks of a segmentation", "RTDOSE": "doses of a radiotherapy plan"}  # by Modality
_MODALITY = re.compile(r"[A-Z0-9_ ]{1,16}")
_MOST_PIXELS = 2**31  # of a volume: 8 GiB once it is read


def is_multiframe(path: Path) -> bool:
    """Whether a DICOM file has several frames; False where its header cannot be read."""
    if not is_dicom(path):
        return False
    try:
        return read_header(path, ["NumberOfFrames"]).whole("NumberOfFrames", 1) > 1
    except RefusedImage:  # reading names what is wrong
        return False


@functools.cache
def patient_of(path: Path) -> str | None:
    """The patient's identifier in a DICOM file, or in the first file of a series; None where there is none."""
    paths = files_of_series(path) if path.is_dir() else [path]
    if not paths or not is_dicom(paths[0]):
        return None
    return read_header(paths[0], ["SpecificCharacterSet", "PatientID"]).decoded("PatientID") or None


@functools.cache
def series_of(path: Path) -> tuple[str, ...]:
    """The study and the series of a DICOM file, or of the first file of a series, as messages call them."""
    paths = files_of_series(path) if path.is_dir() else [path]
    if not paths or not is_dicom(paths[0]):
        return ()
    header = read_header(paths[0], ["StudyInstanceUID", "SeriesInstanceUID"])
    uids = [(kind, header.text(f"{kind}InstanceUID")) for kind in ("Study", "Series")]
    return tuple(f"DICOM {kind.lower()} {uid}" for kind, uid in uids if uid)


def read_file(path: Path, slice_axis: str, spacing_tolerance: float) -> Image:
    """One DICOM file: a picture, a slice, or a multi-frame volume.

    Raises:
        RefusedImage: if it is damaged, has color, values without a meaning, or frames that do not make a volume.
    """
    header = _header(path)
    slices = _slices(header)
    step: NDArray[np.float64] | None = None
    order = [0]
    if len(slices) > 1:
        order, step = sort_slices(slices, path, spacing_tolerance)
    pixels, padding = _read_pixels([(header, order)], [slices[index] for index in order])
    first = slices[order[0]]
    if first.orientation is None:
        return Image(pixels, (first.thickness, *first.pixel_spacing), None, _kind(header), padding, _says(header))
    if step is None:
        step = np.cross(first.orientation[:3], first.orientation[3:]) * first.thickness
    return to_image(_volume(pixels, first, step, padding), slice_axis, path)


def read_series(folder: Path, slice_axis: str, spacing_tolerance: float) -> Image:
    """A folder with the files of one series, each one slice.

    Raises:
        RefusedImage: if there is no DICOM file, a second series, a slice of another size or orientation, a missing
            slice, or whatever :func:`read_file` refuses.
    """
    paths = files_of_series(folder)
    if not paths:
        raise RefusedImage(folder, "a folder without a DICOM file; expected the files of one series", "format")
    _refuse_strays(folder, paths)
    if len(paths) == 1:
        return read_file(paths[0], slice_axis, spacing_tolerance)
    headers = [_header(path) for path in paths]
    try:
        _refuse_mixtures(folder, headers)
        slices = [slice_of(header) for header in headers]
        order, step = sort_slices(slices, folder, spacing_tolerance)
    except RefusedImage as refusal:
        refusal.series = refusal.series or headers[0].series
        raise
    parts = [(headers[index], [0]) for index in order]
    pixels, padding = _read_pixels(parts, [slices[index] for index in order])
    volume = _volume(pixels, slices[order[0]], step, padding)
    kinds = sorted({header.text("ImageType").upper() for header in headers} - {""})
    says = {**volume.says, "image_type": "\\".join(kinds)} if len(kinds) > 1 else dict(volume.says)
    says.pop("instance", None)
    return to_image(dataclasses.replace(volume, says=says), slice_axis, folder)


def _refuse_strays(folder: Path, paths: Sequence[Path]) -> None:
    for path in paths:
        if not is_dicom(path):
            what = "an empty file (0 bytes)" if path.stat().st_size == 0 else "not a DICOM file, whatever it is called"
            raise RefusedImage(path, f"{what}; expected one slice of the series in {folder}", "format")
    images = [path for path in sorted(folder.iterdir()) if is_called_image(path)]
    broken = [path for path in images if not path.exists()]
    if broken:
        raise RefusedImage(broken[0], f"a link to nothing; expected one slice of the series in {folder}", "missing")
    forms = {_form(path.name) for path in paths}
    lost = [path for path in sorted(folder.iterdir()) if path not in paths and _form(path.name) in forms]
    if lost:
        reason = f"not a DICOM file, though it is called like the slices of the series in {folder}; copy it again"
        raise RefusedImage(lost[0], reason, "damaged")
    strays = [path.name for path in images if not DICOM.has_name(path)]
    if strays:
        reason = f"{strays[0]} among the DICOM files of a series; expected slices only; move it away"
        raise RefusedImage(folder, reason, "geometry")


def _form(name: str) -> str:
    """What the names of a series have in common: ``IM005.dcm.gz`` and ``im7.dcm`` both become ``im0.dcm``."""
    return re.sub(r"\d+", "0", name.lower().removesuffix(".gz"))


def _header(path: Path) -> Header:
    header = read_header(path, _TAGS)
    if not header.raw("Rows") or not header.raw("Columns"):
        raise header.refusal("a DICOM file without pixels, such as a report; expected an image", "format")
    samples = header.whole("SamplesPerPixel", 1)
    if samples != 1:
        raise header.refusal(f"expected gray pixels, got {samples} samples per pixel (color)", "format")
    modality = header.text("Modality")
    if modality in _NO_IMAGES:
        raise header.refusal(f"expected an image, got {_NO_IMAGES[modality]} (Modality {modality})", "format")
    return header


def _frame_count(header: Header) -> int:
    count = header.whole("NumberOfFrames", 1) or 1  # 0 is what some write of one
    if count < 0:
        raise header.refusal(f"NumberOfFrames is {count}; expected 1 or more")
    return count


def _slices(header: Header) -> list[Slice]:
    """Where the frames of a file lie; functional groups (Enhanced CT and MR) overrule the file's own attributes."""
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


def _refuse_mixtures(folder: Path, headers: Sequence[Header]) -> None:
    first: dict[str, Path] = {}
    for header in headers:
        first.setdefault(header.text("SeriesInstanceUID"), header.path)
    if len(first) > 1:
        counts = Counter(header.text("SeriesInstanceUID") for header in headers)
        shown = ", ".join(f"{counts[uid]} files like {path.name}" for uid, path in first.items())
        raise RefusedImage(
            folder,
            f"{len(first)} DICOM series in one folder ({shown}); expected one; give each a folder of its "
            "own, or name the files in a datalist",
            "geometry",
        )
    multiframe = [header.path.name for header in headers if _frame_count(header) > 1]
    if multiframe:
        raise RefusedImage(
            folder,
            f"{multiframe[0]} is a volume (multi-frame) among {len(headers)} files of one series; expected slices only",
            "geometry",
        )
    if len({header.decoded("PatientID") for header in headers}) > 1:
        raise RefusedImage(folder, "slices of several patients in one folder; give each patient a folder", "header")
    intercepts = {header.number("RescaleIntercept") for header in headers}
    if headers[0].text("Modality") == CT and len(intercepts) > 1:
        shown = ", ".join(sorted(str(intercept) for intercept in intercepts))
        raise RefusedImage(folder, f"slices of one series with different RescaleIntercept ({shown})", "header")
    for name in _OF_ONE_SERIES:
        values = {header.text(name): header.path for header in headers}
        if len(values) > 1:
            shown = ", ".join(f"{path.name} {value or 'nothing'}" for value, path in values.items())
            raise RefusedImage(folder, f"slices of one series with different {name} ({shown})", "header")
    sizes = {(header.whole("Rows"), header.whole("Columns")): header.path for header in headers}
    if len(sizes) > 1:
        shown = ", ".join(f"{path.name} {rows} × {columns}" for (rows, columns), path in sizes.items())
        raise RefusedImage(folder, f"slices of different sizes in one series ({shown})", "geometry")


def _read_pixels(parts: Sequence[tuple[Header, Sequence[int]]], slices: Sequence[Slice]) -> tuple[Pixels, float]:
    """The values ``(D, H, W)`` of slices, and the share of them that is padding.

    Args:
        parts: each file, and the numbers of its frames, in the order of the slices.
        slices: of these frames.
    """
    layouts = [layout_of(header, _frame_count(header)) for header, _ in parts]
    shape = (len(slices), layouts[0].rows, layouts[0].columns)
    if np.prod(shape, dtype=float) > _MOST_PIXELS:
        raise parts[0][0].refusal(f"{' × '.join(map(str, shape))} pixels; expected at most {_MOST_PIXELS:,}")
    pixels: Pixels | None = None
    masks: dict[int, NDArray[np.bool_]] = {}
    target = 0
    for (header, numbers), layout in zip(parts, layouts):
        frame = read_frames(header, layout)
        if pixels is None:  # now that there are pixels to fill it
            pixels = np.empty(shape, np.float32)
        for number in numbers:
            meaning = meaning_of(slices[target].header, layout)
            stored = numbers_of(frame(number), layout, header.syntax)
            mask = meaning.padding_of(stored)
            if mask is not None:
                masks[target] = mask
            pixels[target] = meaning.values(stored, layout)
            target += 1
    assert pixels is not None
    header = parts[0][0]
    return pixels, darken_padding(pixels, masks, header.text("Modality") == CT, header)


def _volume(pixels: Pixels, first: Slice, step: NDArray[np.float64], padding: float) -> Volume:
    """Axes slice, row, column; DICOM's left-posterior-superior mm become NIfTI's right-anterior-superior."""
    assert first.orientation is not None
    rows, columns = first.pixel_spacing
    affine = np.eye(4)
    affine[:3, :3] = np.stack([step, first.orientation[3:] * rows, first.orientation[:3] * columns], axis=1)
    affine[:2] *= -1
    return Volume(pixels, _kind(first.header), affine, padding, _says(first.header))


def _says(header: Header) -> dict[str, str]:
    """Values in capitals; attributes that are empty are left out."""
    values = {name: header.text(tag).upper() for name, tag in SAYS.items()}
    values["view"] = values["view"] or _meaning(header, "ViewCodeSequence")
    if not values["view"] and header.text("PatientOrientation").upper().startswith(_ACROSS):
        values["view"] = "LATERAL"
    values["body_part"] = values["body_part"] or _meaning(header, "AnatomicRegionSequence")
    return {name: value for name, value in values.items() if value}


def _meaning(header: Header, sequence: str) -> str:
    """What the first code of a sequence means, in capitals; empty where there is none."""
    items = header.items(sequence)
    return str(items[0].get("CodeMeaning") or "").upper() if items else ""


def _kind(header: Header) -> str:
    modality = header.text("Modality")
    return modality if _MODALITY.fullmatch(modality) else "of unknown modality"
