"""NIfTI files, 2-D and 3-D, by nibabel."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from dwskd_monai.reading.geometry import to_image
from dwskd_monai.reading.image import Image, Volume
from dwskd_monai.reading.refusal import RefusedImage

_logger = logging.getLogger(__name__)


def read_file(path: Path, slice_axis: str, spacing_tolerance: float) -> Image:
    """The slices of a file, with slope and intercept applied.

    Args:
        path: the file.
        slice_axis: see :func:`~dwskd_monai.reading.read.read_image`.
        spacing_tolerance: of series; a NIfTI file has one spacing.

    Raises:
        RefusedImage: if the file is damaged, has color, or is neither 2-D nor 3-D.
    """
    try:
        image = cast(nibabel.Nifti1Image, nibabel.load(path))
        shape = image.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if image.get_data_dtype().fields is not None:
            raise RefusedImage(path, f"expected gray pixels, got color ({image.get_data_dtype()})", "format")
        if len(shape) not in (2, 3):
            raise RefusedImage(
                path,
                f"expected 2 or 3 axes, got {len(shape)} ({' × '.join(map(str, shape))}); split a time series "
                "or a set of contrasts into one file each",
                "format",
            )
        pixels = image.get_fdata(dtype=np.float32, caching="unchanged")
    except (ImageFileError, EOFError, OSError, zlib.error) as error:
        raise RefusedImage(path, f"a damaged NIfTI file, it cannot be read ({error})", "damaged") from error
    if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
        _logger.warning("%s: sform and qform codes are 0, no orientation; axes are taken as left, anterior, up", path)
    volume = Volume(pixels.reshape(shape if len(shape) == 3 else (*shape, 1)), "volume", image.affine)
    return to_image(volume, slice_axis, path)
