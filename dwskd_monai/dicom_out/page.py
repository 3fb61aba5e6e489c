"""The picture of an answer: the deciding slice, its heat map, and what is said of the study."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from dwskd_monai.dicom_out.said import RESEARCH_ONLY, Said, percent
from dwskd_monai.runtime.deciding import DecidingSlice

_WIDTH = 960
_MARGIN = 24
_SIDE = (_WIDTH - 3 * _MARGIN) // 2  # of a picture
_FREE = (108, 64)  # at the top and at the bottom, where viewers write on an image
_WHITE, _GRAY, _AMBER = (255, 255, 255), (170, 170, 170), (255, 176, 64)
_HEAT = np.array([255, 96, 0], np.float32)
_OPAQUE = 0.65  # of the hottest pixel
_LARGE, _USUAL, _SMALL, _LEAST = 34, 22, 17, 12  # pixels of a letter
Pixels = NDArray[np.uint8]


def draw(said: Said, deciding: DecidingSlice, heat: NDArray[np.float32]) -> Pixels:
    """The picture, ``(rows, columns, 3)``.

    Args:
        said: what is said of the study.
        deciding: the deciding slice.
        heat: how the probability of the most probable class falls where the slice is hidden, ``(h, w)``.
    """
    plain = _gray(deciding)
    pictures = [_sized(part, deciding) for part in (plain, _heated(plain, heat))]
    lines = _lines(said, deciding, nothing=bool(heat.max() <= 0))
    title = _FREE[0]
    top = title + _leading(_LARGE) + _leading(_USUAL) + _MARGIN // 2
    below = top + pictures[0].height + _MARGIN
    page = Image.new("RGB", (_WIDTH, below + sum(_leading(size) for _, size, _ in lines) + _FREE[1]))
    for index, picture in enumerate(pictures):
        free = _SIDE - picture.width
        page.paste(picture, (_MARGIN + index * (_SIDE + _MARGIN) + free // 2, top))
    canvas = ImageDraw.Draw(page)
    _write(canvas, title, _headline(said), _LARGE, _AMBER if said.predicted is None else _WHITE)
    _write(canvas, title + _leading(_LARGE), RESEARCH_ONLY, _USUAL, _AMBER)
    for text, size, color in lines:
        _write(canvas, below, text, size, color)
        below += _leading(size)
    return np.asarray(page)


def _headline(said: Said) -> str:
    if said.predicted is None:
        return "No class: unlike the training images"
    return f"{said.predicted.name}  {percent(said.predicted.probability)}"


def _lines(said: Said, deciding: DecidingSlice, nothing: bool) -> list[tuple[str, int, tuple[int, int, int]]]:
    """Text, size and color of each line below the pictures."""
    rest = said.lines()[1:-1]
    unlike = said.novelty.is_unlike
    where = "The image" if deciding.count == 1 else f"Slice {deciding.number + 1} of {deciding.count}"
    plane = f" ({deciding.plane})" if deciding.plane is not None and deciding.count > 1 else ""
    name = max(said.classes, key=lambda row: row.probability).name
    heat = "hiding no part of it lowers" if nothing else "orange where hiding a part lowers"
    lines = []
    for row in said.classes:
        point = "" if row.threshold is None else f", operating point {percent(row.threshold)}"
        lines.append((f"{row.name}: {percent(row.probability)}{point}", _USUAL, _WHITE))
    lines += [(text, _USUAL, _AMBER if unlike and text.startswith("Unlike") else _WHITE) for text in rest]
    lines += [
        (f"{where}{plane} as the network gets it; right: {heat} the probability of {name}", _SMALL, _GRAY),
        (f"{said.title} {said.version}, model {said.sha256[:16]}", _SMALL, _GRAY),
    ]
    return lines


def _gray(deciding: DecidingSlice) -> NDArray[np.float32]:
    low, high = deciding.limits
    scaled = (deciding.pixels - low) * np.float32(255 / max(high - low, 1e-9))
    return np.repeat(scaled.clip(0, 255)[..., None], 3, axis=2)


def _heated(plain: NDArray[np.float32], heat: NDArray[np.float32]) -> NDArray[np.float32]:
    share = _OPAQUE * heat.clip(0)[..., None] / max(float(heat.max()), 1e-9)
    return np.asarray(plain * (1 - share) + _HEAT * share, np.float32)


def _sized(pixels: NDArray[np.float32], deciding: DecidingSlice) -> Image.Image:
    """A slice in its true shape, whatever the network's."""
    scale = _SIDE / max(deciding.height, deciding.width)
    size = (max(1, round(deciding.width * scale)), max(1, round(deciding.height * scale)))
    return Image.fromarray(pixels.round().astype(np.uint8)).resize(size, Image.Resampling.BICUBIC)


def _write(canvas: ImageDraw.ImageDraw, top: int, text: str, size: int, color: tuple[int, int, int]) -> None:
    """One line; a long one gets smaller letters, and ends early if that is not enough."""
    font = ImageFont.load_default(size)
    while canvas.textlength(text, font) > _WIDTH - 2 * _MARGIN:
        if size > _LEAST:
            size -= 1
            font = ImageFont.load_default(size)
        else:
            text = f"{text[:-2]}…"
    canvas.text((_MARGIN, top), text, color, font)


def _leading(size: int) -> int:
    return round(size * 1.45)
