"""PNG, JPEG and BMP pictures as grey pixels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

# A grey picture saved in colour has equal channels, up to the rounding of JPEG; a mark or a ruler in colour is small.
_HUE, _COLOURED_SHARE = 32, 0.02


def read_grey(path: Path) -> NDArray[np.float32]:
    """Pixels ``(H, W)`` of one picture, turned as its EXIF tag says.

    Pillow's modes all become grey: 8 and 16 bit, palette, with alpha, and grey that was saved as RGB or CMYK.

    Raises:
        ValueError: if it is no picture, is damaged, or has colour.
    """
    try:
        with Image.open(path) as picture:
            turned = ImageOps.exif_transpose(picture)
            share = _coloured_share(turned)
            grey = np.array(turned.convert("F"))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path}: not an image; expected PNG, JPEG, BMP, DICOM or NIfTI") from error
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow's decoders raise for damaged files
        raise ValueError(f"{path}: a damaged image file, its pixels cannot be decoded ({error})") from error
    if share > _COLOURED_SHARE:
        raise ValueError(
            f"{path}: expected a grey image, {share:.0%} of its pixels have a colour; remove or convert it"
        )
    return grey


def _coloured_share(picture: Image.Image) -> float:
    if picture.mode in ("1", "L", "LA", "La", "F") or picture.mode.startswith("I"):
        return 0.0
    channels = np.asarray(picture.convert("RGB"))
    return float((np.ptp(channels, axis=2) > _HUE).mean())
