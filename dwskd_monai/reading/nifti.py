"""NIfTI files, 2-D and 3-D, by nibabel."""

from __future__ import annotations

import logging
import zlib
from pathlib import Path
from typing import cast

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError

from dwskd_monai.reading.volume import Volume

_logger = logging.getLogger(__name__)


def read_file(path: Path) -> Volume:
    """Pixels with slope and intercept applied, in the axes of the file, and its affine.

    Raises:
        ValueError: if the file is damaged, has colour, or is neither 2-D nor 3-D.
    """
    try:
        image = cast(nibabel.Nifti1Image, nibabel.load(path))
        shape = image.shape
        while len(shape) > 3 and shape[-1] == 1:
            shape = shape[:-1]
        if image.get_data_dtype().fields is not None:
            raise ValueError(f"{path}: expected grey pixels, got colour ({image.get_data_dtype()})")
        if len(shape) not in (2, 3):
            raise ValueError(
                f"{path}: expected 2 or 3 axes, got {len(shape)} ({' × '.join(map(str, shape))}); split a time series "
                "or a set of contrasts into one file each"
            )
        pixels = image.get_fdata(dtype=np.float32, caching="unchanged")
    except (ImageFileError, EOFError, OSError, zlib.error) as error:
        raise ValueError(f"{path}: a damaged NIfTI file, it cannot be read ({error})") from error
    if int(image.header["sform_code"]) == 0 and int(image.header["qform_code"]) == 0:
        _logger.warning("%s: sform and qform codes are 0, no orientation; axes are taken as left, anterior, up", path)
    return Volume(pixels.reshape(shape if len(shape) == 3 else (*shape, 1)), "nifti", image.affine)
