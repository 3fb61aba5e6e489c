"""Small pictures of what a network saw, and of the part that a map marks; they need no color."""

from __future__ import annotations

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from dwskd_monai.evaluation.explanations.deletion import SHARE
from dwskd_monai.evaluation.html.picture import Picture, data_uri

SIDE = 160  # pixels
_DIMMED = 0.55
Floats = NDArray[np.float32]


def plain(image: Floats, title: str, words: str) -> Picture:
    """A slice ``(C, H, W)`` as the network gets it, from its darkest to its brightest gray."""
    return Picture(title, words, _source(_pixels(image)))


def marked(image: Floats, saliency: Floats, title: str, words: str) -> Picture:
    """The slice, with the fifth of the pixels outlined that has the highest values ``(H, W)``; the rest is darker.

    Only pixels with a value above 0 are marked; if there are none, the picture says so.
    """
    pixels = _pixels(image)
    large = _resized(saliency, pixels.shape[:2])
    inside = large > max(float(np.quantile(large, 1 - SHARE)), 0.0)
    if not inside.any():
        return Picture(f"{title}: nothing speaks for it", words, _source(pixels))
    outline = inside & ~ndimage.binary_erosion(inside, iterations=2)
    edge = ndimage.binary_dilation(inside, iterations=1) & ~inside
    drawn = np.where(inside[..., None], pixels, pixels * _DIMMED)
    drawn[outline] = 255
    drawn[edge] = 0
    return Picture(title, words, _source(drawn))


def _pixels(image: Floats) -> NDArray[np.float64]:
    """``(height, width, 3 or 1)``, from 0 to 255."""
    shown = image if len(image) == 3 else image.mean(0, keepdims=True)
    low, high = np.quantile(shown, (0.005, 0.995))
    gray = ((shown - low) * (255 / max(float(high - low), 1e-9))).clip(0, 255)
    height, width = gray.shape[1:]
    scale = SIDE / max(height, width)
    size = (max(1, round(height * scale)), max(1, round(width * scale)))
    return np.stack([_resized(channel, size) for channel in gray], axis=2).clip(0, 255).astype(np.float64)


def _resized(pixels: Floats, size: tuple[int, ...]) -> Floats:
    height, width = size
    resized = Image.fromarray(pixels.astype(np.float32)).resize((width, height), Image.Resampling.BICUBIC)
    return np.asarray(resized)


def _source(pixels: NDArray[np.float64]) -> str:
    rounded = pixels.round().astype(np.uint8)
    picture = Image.fromarray(rounded[..., 0] if rounded.shape[2] == 1 else rounded)
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=80, optimize=True)
    return data_uri(file.getvalue(), "jpeg")
