"""PNG, JPEG and BMP pictures as gray pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from dwskd_monai.reading import image
from dwskd_monai.reading.formats import FORMAT_NAMES
from dwskd_monai.reading.refusal import RefusedImage

# A gray picture saved in color has equal channels, up to the rounding of JPEG; a mark or a ruler in color is small.
_HUE = 32
_COLORED_SHARE = 0.02


def read_file(path: Path, slice_axis: str, spacing_tolerance: float) -> image.Image:
    """One picture, without an orientation.

    Args:
        path: the file.
        slice_axis: of volumes; a picture is one slice.
        spacing_tolerance: of series; a picture has no spacing.

    Raises:
        RefusedImage: as :func:`read_gray`.
    """
    return image.Image(read_gray(path)[None], (1.0, 1.0, 1.0), None, "picture")


def read_gray(path: Path) -> NDArray[np.float32]:
    """Pixels ``(H, W)`` of one picture, turned as its EXIF tag says.

    Pillow's modes all become gray: 8 and 16 bit, palette, with alpha, and gray that was saved as RGB or CMYK.

    Raises:
        RefusedImage: if it is not a picture, is damaged, or has color.
    """
    try:
        # an open file, since Pillow maps a TIFF that it gets by its path, and mixes its pixels up if a tag turns them
        with path.open("rb") as file, Image.open(file) as picture:
            pages = getattr(picture, "n_frames", 1)
            turned = ImageOps.exif_transpose(picture)
            share = _colored_share(turned)
            gray = np.array(turned.convert("F"))
    except UnidentifiedImageError as error:
        raise RefusedImage(path, f"not an image; expected {FORMAT_NAMES}", "format") from error
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow's decoders raise for damaged files
        raise RefusedImage(path, f"a damaged image file, its pixels cannot be decoded ({error})", "damaged") from error
    if pages > 1:
        raise RefusedImage(path, f"{pages} pages; expected one picture; save each page as a file of its own", "format")
    if share > _COLORED_SHARE:
        raise RefusedImage(
            path, f"expected a gray image, {share:.0%} of its pixels have a color; remove or convert it", "format"
        )
    return gray


def _colored_share(picture: Image.Image) -> float:
    if picture.mode in ("1", "L", "LA", "La", "F") or picture.mode.startswith("I"):
        return 0.0
    channels = np.asarray(picture.convert("RGB"))
    return float((np.ptp(channels, axis=2) > _HUE).mean())
