"""What readers return: a volume as its file has it, an image (slices of one orientation), and how a file was made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.float32] | NDArray[np.int16]
Judge = Callable[[Mapping[str, str]], str | None]  # from what a header says to why it is not wanted, or None


@dataclass(frozen=True)
class Volume:
    """Pixels as a file has them.

    Args:
        pixels: three axes in any order; of type as in :class:`Image`.
        kind: as in :class:`Image`.
        affine: ``(4, 4)`` from pixel indices to mm, right-anterior-superior as in NIfTI.
        told_by: which fields of the file tell the affine, for messages.
        padding, says: as in :class:`Image`.
    """

    pixels: Pixels
    kind: str
    affine: NDArray[np.float64]
    told_by: str
    padding: float = 0.0
    says: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Image:
    """All slices of one file or series.

    Args:
        pixels: ``(D, H, W)``, from inferior to superior, anterior to posterior, or right to left; in float32, or in
            int16 if the values of a DICOM or NIfTI file are whole and fit, which halves the memory of a CT.
        spacing: mm between slices, rows and columns; ones for a picture.
        plane: ``axial``, ``coronal`` or ``sagittal``; None if the file does not tell.
        kind: ``picture``, ``volume``, or the DICOM modality, ``CT`` for instance.
        padding: share of the pixels that are not part of the image, around the area that a detector saw; they have the
            darkest value, and percentiles leave them out.
        says: what a header says about the kind of image, by the names of ``dicom_kind.SAYS``; empty for pictures.
    """

    pixels: Pixels
    spacing: tuple[float, float, float]
    plane: str | None
    kind: str
    padding: float = 0.0
    says: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Origin:
    """What a file says about how it was made, and nothing about a patient; empty texts if it says nothing.

    Args:
        format: ``PNG``, ``JPEG``, …, ``DICOM``, ``NIfTI``.
        bits: of a pixel.
        colors: ``L`` (gray), ``RGB``, ``P`` (palette), …; for DICOM, its PhotometricInterpretation.
        view: of an X-ray.
        manufacturer, model, site: of the scanner.
    """

    format: str
    bits: str = ""
    colors: str = ""
    view: str = ""
    manufacturer: str = ""
    model: str = ""
    site: str = ""
