"""PNG, JPEG, TIFF, WebP and BMP pictures as gray pixels."""

from __future__ import annotations

from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dwskd_monai.reading import image
from dwskd_monai.reading.formats import FORMAT_NAMES
from dwskd_monai.reading.refusal import RefusedImage, refusing

# The formats that Pillow may read: its others are not pictures of patients, and some start other programs.
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "DIB", "GIF", "JPEG2000")
# A gray picture saved in color has equal channels, up to the rounding of JPEG; a mark or a ruler in color is small.
_HUE = 32
_COLORED_SHARE = 0.02
_HIDDEN_SHARE = 0.02  # of pixels that transparency hides; a background that was cut out is of one value
_WHITE_IS_ZERO = 0  # a TIFF's PhotometricInterpretation
_TIFF_PHOTOMETRIC = 262
_TIFF_BITS = 258


def read_file(path: Path, slice_axis: str, spacing_tolerance: float, judge: image.Judge | None = None) -> image.Image:
    """One picture, without an orientation.

    Args:
        path: the file.
        slice_axis: of volumes; a picture is one slice.
        spacing_tolerance: of series; a picture has no spacing.
        judge: of headers; a picture says nothing about its kind.

    Raises:
        RefusedImage: as :func:`read_gray`.
    """
    return image.Image(read_gray(path)[None], (1.0, 1.0, 1.0), None, "picture")


def origin_of(path: Path) -> image.Origin:
    """The format, the bits of a pixel and the mode that Pillow names."""
    with Image.open(path) as picture:
        bits = picture.mode.partition(";")[2] or {"1": "1", "I": "32", "F": "32"}.get(picture.mode, "8")
        return image.Origin(picture.format or "", bits.rstrip("BLN"), picture.mode)


def size_of(path: Path) -> tuple[int, int, int]:
    """One slice, its rows and its columns."""
    with Image.open(path) as picture:
        return 1, picture.height, picture.width


def read_gray(path: Path) -> NDArray[np.float32]:
    """Pixels ``(H, W)`` of one picture, turned as its EXIF tag says.

    Pillow's modes all become gray: 8 and 16 bit, palette, with alpha, and gray that was saved as RGB or CMYK.

    Raises:
        RefusedImage: if it is not a picture, is damaged or too large, has color, or is hidden by transparency.
    """
    damaged = refusing(path, "a damaged image file, its pixels cannot be decoded")
    # an open file, since Pillow maps a TIFF that it gets by its path, and mixes its pixels up if a tag turns them
    with damaged, path.open("rb") as file, _verified(file, path) as picture:
        pages = getattr(picture, "n_frames", 1)
        turned = ImageOps.exif_transpose(picture)
        if turned.mode == "P" and "transparency" in turned.info:
            turned = turned.convert("RGBA")
        colored = _colored_share(turned)
        hidden = _hidden_share(turned)
        gray = _black_is_zero(np.array(turned.convert("F")), picture)
    if pages > 1:
        raise RefusedImage(path, f"{pages} pages; expected one picture; save each page as a file of its own", "format")
    if colored > _COLORED_SHARE:
        reason = f"expected a gray image, {colored:.0%} of its pixels have a color; remove or convert it"
        raise RefusedImage(path, reason, "format")
    if hidden > _HIDDEN_SHARE:
        reason = f"transparency hides a picture in {hidden:.0%} of its pixels; save it without an alpha channel"
        raise RefusedImage(path, reason, "content")
    return gray


def _verified(file: BinaryIO, path: Path) -> Image.Image:
    """The picture in a file, its pixels not yet decoded.

    A PNG has a checksum for each part. Pillow compares only some of them, unless it is asked to compare all.
    """
    picture = _opened(file, path)
    if picture.format == "PNG":
        picture.verify()
        file.seek(0)
        picture = _opened(file, path)
    return picture


def _opened(file: BinaryIO, path: Path) -> Image.Image:
    try:
        return Image.open(file, formats=_FORMATS)
    except UnidentifiedImageError as error:
        raise RefusedImage(path, f"not an image; expected {FORMAT_NAMES}", "format") from error
    except Image.DecompressionBombError as error:
        reason = f"too large a picture, or a file made to fill the memory ({error}); save it with fewer pixels"
        raise RefusedImage(path, reason, "format") from error
    except ValueError as error:
        if "MAX_TEXT" not in str(error):
            raise
        reason = f"its texts (PNG chunks tEXt, zTXt, iTXt) are too large ({error}); save it without metadata"
        raise RefusedImage(path, reason, "format") from error


def _colored_share(picture: Image.Image) -> float:
    if picture.mode in ("1", "L", "LA", "La", "F") or picture.mode.startswith("I"):
        return 0.0
    channels = np.asarray(picture.convert("RGB"))
    return float((np.ptp(channels, axis=2) > _HUE).mean())


def _hidden_share(picture: Image.Image) -> float:
    """Share of the pixels that transparency hides, and that differ from the background."""
    if picture.mode not in ("LA", "La", "RGBA", "RGBa"):
        return 0.0
    hidden = np.asarray(picture.getchannel("A")) < 128
    if not hidden.any():
        return 0.0
    gray = np.asarray(picture.convert("L"))
    background = np.bincount(gray[hidden], minlength=256).argmax()
    return float((hidden & (np.abs(gray.astype(int) - background) > 8)).mean())


def _black_is_zero(gray: NDArray[np.float32], picture: Image.Image) -> NDArray[np.float32]:
    """Invert a TIFF in which 0 is white; for 8 bits and fewer, Pillow has done so."""
    tags = getattr(picture, "tag_v2", None)
    if picture.format != "TIFF" or tags is None or tags.get(_TIFF_PHOTOMETRIC) != _WHITE_IS_ZERO:
        return gray
    bits = int(tags.get(_TIFF_BITS, (1,))[0])
    return gray if bits <= 8 or picture.mode == "F" else np.float32(2**bits - 1) - gray
