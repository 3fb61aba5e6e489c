"""NIfTI files, 2-D and 3-D, read by nibabel.

The header is checked before nibabel takes it, since nibabel replaces some wrong values (a ``pixdim`` of 0 becomes 1)
and ignores others. A compressed file is read to its end, where its checksum is.
"""

from __future__ import annotations

import gzip
import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, cast

import nibabel
import numpy as np
from nibabel.nifti1 import intent_codes

from dwskd_monai.reading.formats import NIFTI
from dwskd_monai.reading.geometry import refuse_implausible, to_image
from dwskd_monai.reading.image import Image, Judge, Origin, Pixels, Volume
from dwskd_monai.reading.nifti_orientation import affine_of, codes_of, tells_nothing
from dwskd_monai.reading.refusal import RefusedImage, refuse_unwanted, refusing

_logger = logging.getLogger(__name__)
_DAMAGED = "a damaged NIfTI file, it cannot be read"
_TOLD_BY = "pixdim, sform, xyzt_units"
_OF_IMAGES = (0, 1011, 2001)  # codes of an intent: none, values without a unit, a time series
_NAME = re.compile(r"[A-Z0-9_ .*-]+")
_GZIP = b"\x1f\x8b"
_MOST_PIXELS = 2**31  # 8 GiB once they are read
_FILLING = 16  # bytes that may follow the pixels
_COLORS = (3, 4)  # channels of a color picture


def read_file(path: Path, slice_axis: str, spacing_tolerance: float, judge: Judge | None = None) -> Image:
    """The slices of a file, with slope and intercept applied.

    Args:
        path: the file.
        slice_axis: see :func:`~dwskd_monai.reading.read.read_image`.
        spacing_tolerance: of series; a NIfTI file has one spacing.
        judge: of what its header says; see :func:`~dwskd_monai.reading.read.read_image`.

    Raises:
        RefusedImage: if the file is damaged, has color or complex numbers, is neither 2-D nor 3-D, or contradicts
            itself about its orientation.
    """
    with _opened(path) as file:
        header, kind = _header(file, path)
        says = _says(header, path)
        refuse_unwanted(path, says, judge)
        shape = _shape(header, path)
        affine = affine_of(header, path)
        pixels = _pixels(file, kind, path)
    pixels = pixels.reshape(shape)
    if shape[2] == 1 and tells_nothing(header, affine):
        # written from an array of rows and columns: there is nothing to turn it by
        rows, columns = (float(size) or 1.0 for size in np.abs(header["pixdim"][1:3]))
        refuse_implausible((1.0, rows, columns), 1, _TOLD_BY, path)
        return Image(pixels[None, :, :, 0].copy(), (1.0, rows, columns), None, "volume", says=says)
    if codes_of(header) == (0, 0):
        _logger.warning("%s: sform and qform codes are 0, no orientation; axes are taken as left, anterior, up", path)
    return to_image(Volume(pixels, "volume", affine, _TOLD_BY, says=says), slice_axis, path)


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, decompressed if its content is compressed, whatever it is called."""
    with path.open("rb") as raw:
        compressed = raw.read(2) == _GZIP
        raw.seek(0)
        if compressed:
            with gzip.GzipFile(fileobj=raw) as file:
                yield cast(BinaryIO, file)
        else:
            yield raw


def _header(file: BinaryIO, path: Path) -> tuple[Any, Any]:
    """The header as it stands in the file, and nibabel's class for it."""
    with refusing(path, _DAMAGED):
        block = file.read(nibabel.Nifti2Header.sizeof_hdr)
        file.seek(0)
        for kind in (nibabel.Nifti1Image, nibabel.Nifti2Image):
            size = kind.header_class.sizeof_hdr
            if len(block) >= size and size in (int.from_bytes(block[:4], order) for order in ("little", "big")):
                header = kind.header_class(block[:size], check=False)
                break
        else:
            raise RefusedImage(path, f"{_DAMAGED} (no NIfTI header at its beginning)", "damaged")
        magic = bytes(header["magic"])[:3]
    if magic not in (b"n+1", b"n+2"):
        reason = f"magic is {magic!r}; expected a NIfTI file with header and pixels in one (b'n+1' or b'n+2')"
        raise RefusedImage(path, reason, "header")
    return header, kind


def _says(header: Any, path: Path) -> dict[str, str]:
    """What the header says about the kind of image: the name of its values, under a name of ``dicom_kind.SAYS``.

    Raises:
        RefusedImage: if its values are labels, statistics, vectors or points.
    """
    code = int(header["intent_code"])
    if code in intent_codes.code and code not in _OF_IMAGES:
        what = str(intent_codes.label[code]).strip()
        reason = f"intent_code is {code} ({what}); expected an image (0); if it is one, set intent_code to 0"
        raise RefusedImage(path, reason, "format")
    name = bytes(header["intent_name"].tobytes()).split(b"\0")[0].decode("ascii", "replace").strip().upper()
    return {"image_type": name} if _NAME.fullmatch(name) else {}


def _shape(header: Any, path: Path) -> tuple[int, int, int]:
    """Checked sizes of three axes."""
    dim = [int(size) for size in header["dim"]]
    if not 1 <= dim[0] <= 7 or any(size < 1 for size in dim[1 : dim[0] + 1]):
        raise RefusedImage(path, f"dim is {dim}; expected the number of axes, 1 to 7, and sizes of 1 or more", "header")
    sizes = dim[1 : dim[0] + 1]
    while len(sizes) > 3 and sizes[-1] == 1:
        sizes.pop()
    shown = " × ".join(map(str, sizes))
    try:
        dtype = header.get_data_dtype()
    except KeyError:
        code = int(header["datatype"])
        raise RefusedImage(path, f"datatype is {code}; expected a code of the NIfTI standard", "header") from None
    if dtype.fields is not None:
        raise RefusedImage(path, f"expected gray pixels, got color ({dtype})", "format")
    if dtype.kind not in "iuf":
        raise RefusedImage(path, f"datatype is {dtype}; expected real numbers, one of each pixel", "format")
    if len(sizes) not in (2, 3):
        reason = f"expected 2 or 3 axes, got {len(sizes)} ({shown}); split a time series or a set of contrasts into "
        raise RefusedImage(path, f"{reason}one file each", "format")
    if dtype == np.uint8 and len(sizes) == 3 and sizes[2] in _COLORS and min(sizes[:2]) > max(_COLORS):
        reason = f"{shown} bytes, as of a picture in color with {sizes[2]} channels; if they are {sizes[2]} slices, "
        raise RefusedImage(path, f"{reason}save them with 16 bits", "format")
    if np.prod(sizes, dtype=float) > _MOST_PIXELS:
        raise RefusedImage(path, f"dim is {dim}, {shown} pixels; expected at most {_MOST_PIXELS:,}", "header")
    offset = float(header["vox_offset"])
    if not offset.is_integer() or (offset and offset < header.single_vox_offset):
        reason = f"vox_offset is {offset:g}; expected a whole number of {header.single_vox_offset} or more"
        raise RefusedImage(path, reason, "header")
    x, y, *z = sizes
    return x, y, z[0] if z else 1


def _pixels(file: BinaryIO, kind: Any, path: Path) -> Pixels:
    with refusing(path, _DAMAGED):
        file.seek(0)
        image = kind.from_stream(file)
        proxy = image.dataobj
        pixels: Pixels
        if (proxy.slope, proxy.inter) == (1, 0) and np.can_cast(proxy.dtype, np.int16):
            pixels = np.array(proxy.get_unscaled(), np.int16)  # a copy: the file itself may be mapped
        else:
            pixels = np.asarray(image.get_fdata(dtype=np.float32, caching="unchanged"))
        file.seek(proxy.offset + int(np.prod(proxy.shape)) * proxy.dtype.itemsize)
        rest = 0
        while part := file.read(2**20):  # a compressed file's checksum is at its end
            rest += len(part)
    if rest > _FILLING and rest >= min(image.shape[:2]) * proxy.dtype.itemsize:
        shown = " × ".join(map(str, image.shape))
        raise RefusedImage(path, f"dim is {shown}, and {rest} bytes follow these pixels; expected none", "header")
    if rest:
        _logger.warning("%s: %d bytes follow the pixels; is vox_offset, dim or datatype wrong?", path, rest)
    return pixels


def origin_of(path: Path) -> Origin:
    """The format, and the bits of a pixel as they are stored."""
    with _opened(path) as file:
        header, _ = _header(file, path)
    return Origin(NIFTI.name, str(int(header.get_data_dtype().itemsize) * 8))


def size_of(path: Path) -> tuple[int, int, int]:
    """Slices, rows and columns, as they are stored."""
    with _opened(path) as file:
        header, _ = _header(file, path)
    columns, rows, slices = _shape(header, path)
    return slices, rows, columns
