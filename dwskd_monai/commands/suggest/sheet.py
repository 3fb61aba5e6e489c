"""A contact sheet: one slice of each study, with a caption."""

from __future__ import annotations

import io
import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from dwskd_monai.files import replacing

MOST_PICTURES = 100  # so that the file has at most a few MB
_COLUMNS = 5
# Inches: of the place of a picture with its caption, of the picture, and of the title
_WIDTH, _HEIGHT, _SIDE, _TITLE = 2.4, 2.95, 2.3, 0.4
_MOST_LETTERS = 32  # of a line


@dataclass(frozen=True)
class Picture:
    """A slice and what is written above it.

    Args:
        pixels: ``(H, W)``, drawn from their smallest value, black, to their largest, white.
        lines: the caption.
    """

    pixels: NDArray[np.floating]
    lines: Sequence[str]


def draw_sheet(path: Path, pictures: Sequence[Picture], title: str) -> None:
    """Write :func:`sheet` as a PNG in gray, a third of the size of one in color."""
    drawn = io.BytesIO()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font", UserWarning)  # of a name: boxes are drawn
        sheet(pictures, title).savefig(drawn, format="png", dpi=100)
    with replacing(path) as temporary:
        Image.open(drawn).convert("L").save(temporary, "PNG")


def sheet(pictures: Sequence[Picture], title: str) -> Figure:
    """The first hundred pictures, in rows of five.

    All are drawn into one pair of axes, in inches: a pair for each, with a layout, would take seconds.

    Args:
        pictures: one or more, in their order.
        title: above all of them.
    """
    shown = pictures[:MOST_PICTURES]
    height = _TITLE + _HEIGHT * math.ceil(len(shown) / _COLUMNS)
    figure = Figure(figsize=(_WIDTH * _COLUMNS, height))
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, _WIDTH * _COLUMNS), ylim=(height, 0), autoscale_on=False)
    axes.set_axis_off()
    more = f" (the first {len(shown)} of {len(pictures)})" if len(shown) < len(pictures) else ""
    texts: dict[str, Any] = {"ha": "center", "va": "bottom", "parse_math": False}  # a name may have dollar signs
    axes.text(_WIDTH * _COLUMNS / 2, _TITLE - 0.1, title + more, fontsize=10, **texts)
    for number, picture in enumerate(shown):
        row, column = divmod(number, _COLUMNS)
        middle = _WIDTH * (column + 0.5)
        bottom = _TITLE + _HEIGHT * (row + 1)
        extent = (middle - _SIDE / 2, middle + _SIDE / 2, bottom, bottom - _SIDE)
        axes.imshow(picture.pixels, cmap="gray", extent=extent, aspect="auto")
        axes.text(middle, bottom - _SIDE - 0.05, "\n".join(map(_shortened, picture.lines)), fontsize=8, **texts)
    return figure


def _shortened(line: str) -> str:
    """A line that fits and can be drawn; the middle is left out, since names differ at their ends.

    Examples:
        >>> _shortened("1. patient_0042_thorax_posterior_anterior_view.dcm")
        '1. patient_0042…terior_view.dcm'
    """
    line = line.encode("utf-8", "backslashreplace").decode()  # a name that is not UTF-8
    half = (_MOST_LETTERS - 1) // 2
    return line if len(line) <= _MOST_LETTERS else f"{line[:half]}…{line[-half:]}"
