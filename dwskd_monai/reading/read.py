"""One image from a file or a folder, whatever its format."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from types import ModuleType

from dwskd_monai.reading.content import refuse_empty
from dwskd_monai.reading.formats import DICOM, FORMATS, Format, format_of
from dwskd_monai.reading.image import Image, Judge
from dwskd_monai.reading.label_map import refuse_label_map
from dwskd_monai.reading.refusal import RefusedImage
from dwskd_monai.reading.slice_axis import checked_slice_axis


def _import(row: Format) -> ModuleType | ModuleNotFoundError:
    try:
        return import_module(f"{__package__}.{row.module}")
    except ModuleNotFoundError as error:
        return error


# A packed network runs with monai and timm alone, which bring no library for volumes. Readers are looked for
# now, not when there is a file for them: MONAI Label forgets where a bundle's code lies once it has its transforms.
_READERS = {row.name: _import(row) for row in FORMATS}


def read_image(
    path: str | Path, slice_axis: str = "thickest", spacing_tolerance: float = 0.05, judge: Judge | None = None
) -> Image:
    """The slices of a picture, a DICOM file, a folder with a DICOM series, or a NIfTI file.

    Args:
        path: the file, or the folder of the series.
        slice_axis: how a volume is cut, one of :data:`~dwskd_monai.reading.slice_axis.SLICE_AXES`.
        spacing_tolerance: how much a distance between neighboring DICOM slices may differ from the usual one, as a
            share of it.
        judge: says why an image is not wanted, by what its header says (``Image.says``), or None if it is wanted. It is
            called before pixels are read and checked.

    Raises:
        RefusedImage: if there is nothing at ``path``, if it cannot be read, if it is neither a gray picture nor a
            volume without missing slices, if its pixels are not finite or have fewer than three values, or if they are
            labels of a segmentation; the message names the file and what is wrong.
        ValueError: for an unknown ``slice_axis``.
        ModuleNotFoundError: if the library that decodes the format is not installed.

    Examples:
        >>> import tempfile
        >>> from PIL import Image as Picture
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     Picture.linear_gradient("L").save(f"{folder}/xray.png")
        ...     image = read_image(f"{folder}/xray.png")
        >>> image.pixels.shape, image.kind, float(image.pixels.max())
        ((1, 256, 256), 'picture', 255.0)
    """
    path = Path(path)
    slice_axis = checked_slice_axis(slice_axis)
    if not path.exists():
        raise RefusedImage(path, "there is no such image", "missing")
    if not path.is_dir() and not path.is_file():
        raise RefusedImage(path, "neither a file nor a folder (a pipe, socket or device)", "missing")
    try:
        image = _read(path, slice_axis, spacing_tolerance, judge)
    except OSError as error:  # errors of decoders are refusals already
        raise RefusedImage(path, f"cannot be opened ({error})", "missing") from error
    except MemoryError as error:
        raise RefusedImage(path, f"its pixels do not fit the memory ({error})", "content") from error
    refuse_empty(image, path)
    refuse_label_map(image, path)
    return image


def _read(path: Path, slice_axis: str, spacing_tolerance: float, judge: Judge | None) -> Image:
    if path.is_dir():
        image: Image = reader_of(path).read_series(path, slice_axis, spacing_tolerance, judge)
    else:
        image = reader_of(path).read_file(path, slice_axis, spacing_tolerance, judge)
    return image


def reader_of(path: Path) -> ModuleType:
    """The module that reads a file, or the folder of a series; see :mod:`~dwskd_monai.reading.formats`.

    Raises:
        RefusedImage: if the content of the file is not of the format that its name says.
        ModuleNotFoundError: if the library that decodes the format is not installed.
    """
    row = DICOM if path.is_dir() else format_of(path)
    reader = _READERS[row.name]
    if isinstance(reader, ModuleType):
        return reader
    raise ModuleNotFoundError(
        f"{path}: to read it, {' and '.join(row.libraries)} must be installed (no {reader.name} here): "
        f"pip install {' '.join(row.libraries)}",
        name=reader.name,
    ) from reader
