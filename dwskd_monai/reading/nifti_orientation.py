"""Where a NIfTI file says that its voxels lie: its sform and qform, in mm, and whether these contradict each other."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import io_orientation
from numpy.typing import NDArray

from dwskd_monai.reading.refusal import RefusedImage, refusing

_logger = logging.getLogger(__name__)
_NO_ORIENTATION = "its orientation cannot be read (sform, qform)"
_UNITS = {1: ("meter", 1000.0), 3: ("micron", 0.001)}  # of xyzt_units that are not mm, and how many mm they are
_ROUNDING = 0.01  # by which sform and qform may differ, as a share of a spacing


def affine_of(header: Any, path: Path) -> NDArray[np.float64]:
    """The matrix that the header prefers, in mm, if the header does not contradict itself."""
    sform, qform = codes_of(header)
    if sform == 0:
        pixdim = [float(size) for size in header["pixdim"][1:4]]
        if not np.isfinite(pixdim).all() or 0 in pixdim[: int(header["dim"][0])]:
            shown = " × ".join(f"{size:g}" for size in pixdim)
            raise RefusedImage(path, f"pixdim is {shown} mm, and there is no sform; expected sizes > 0", "geometry")
    with refusing(path, _NO_ORIENTATION, "geometry"):
        affine: NDArray[np.float64] = _in_mm(header.get_best_affine(), header, path)
        other = _in_mm(header.get_qform(coded=False), header) if sform > 0 and qform > 0 else affine
    if not np.isfinite(affine).all() or not np.isfinite(other).all():
        raise RefusedImage(path, "its affine has NaN or infinite entries, so its orientation is unknown", "geometry")
    spacing = voxel_sizes(affine)
    if (spacing <= 0).any():
        return affine
    _warn_of_void(affine, header, path)
    if np.abs(affine - other).max() <= _ROUNDING * spacing.min():
        return affine
    with refusing(path, _NO_ORIENTATION, "geometry"):
        differs = np.abs(voxel_sizes(other) / spacing - 1).max() > _ROUNDING
        if differs or _is_turned(affine, other):
            mirrored = "; one is mirrored, so left may be right" if _hand(affine) != _hand(other) else ""
            reason = (
                f"sform and qform disagree: {_told(affine)} and {_told(other)}{mirrored}; set both to the right one"
            )
            raise RefusedImage(path, reason, "geometry")
    _logger.warning("%s: sform and qform differ, but not in how slices lie (%s); sform is taken", path, _told(affine))
    return affine


def _in_mm(affine: NDArray[np.float64], header: Any, path: Path | None = None) -> NDArray[np.float64]:
    """An affine in the unit that the header names, in mm; a header that names none means mm."""
    unit = _UNITS.get(int(header["xyzt_units"]) % 8)
    if unit is None:
        return affine
    name, size = unit
    converted = affine.copy()
    converted[:3] *= size
    if path is not None:
        _logger.warning("%s: xyzt_units is %s; its spacing was converted to mm (%s)", path, name, _told(converted))
    return converted


def _warn_of_void(affine: NDArray[np.float64], header: Any, path: Path) -> None:
    """Warn if an sform or qform that its code declares void would turn or mirror the image."""
    sform, qform = codes_of(header)
    if sform > 0 and qform == 0 and _has_quaternion(header):
        void = "qform"
    elif qform > 0 and sform == 0 and any(np.abs(header[f"srow_{axis}"][:3]).any() for axis in "xyz"):
        void = "sform"
    else:
        return
    try:
        other = _in_mm(getattr(header, f"get_{void}")(coded=False), header)
        if np.abs((affine - other)[:3, :3]).max() <= _ROUNDING * voxel_sizes(affine).min():
            return  # as most programs write it; what follows takes as long as reading a small file
        is_turned = bool(np.isfinite(other).all() and (voxel_sizes(other) > 0).all()) and _is_turned(affine, other)
    except (ValueError, np.linalg.LinAlgError):  # nothing that could be meant
        return
    if is_turned:
        reason = "which its code 0 declares void, is %s; %s is taken; is that right?"
        _logger.warning(f"%s: its {void}, {reason}", path, _told(other), _told(affine))


def _has_quaternion(header: Any) -> bool:
    names = ("quatern_b", "quatern_c", "quatern_d", "qoffset_x", "qoffset_y", "qoffset_z")
    return any(float(header[name]) for name in names) or float(header["pixdim"][0]) == -1


def _is_turned(affine: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    return _hand(affine) != _hand(other) or not np.array_equal(io_orientation(affine), io_orientation(other))


def _hand(affine: NDArray[np.float64]) -> bool:
    """Whether axes are right-handed; those of a mirror image are not."""
    return bool(np.linalg.det(affine[:3, :3]) > 0)


def codes_of(header: Any) -> tuple[int, int]:
    """The codes of sform and qform; one of 0 is void."""
    return int(header["sform_code"]), int(header["qform_code"])


def tells_nothing(header: Any, affine: NDArray[np.float64]) -> bool:
    """Whether an orientation is missing, or is the one that programs write if they know none."""
    return codes_of(header) == (0, 0) or np.array_equal(affine[:3, :3], np.eye(3))


def _told(affine: NDArray[np.float64]) -> str:
    spacing = " × ".join(f"{size:g}" for size in voxel_sizes(affine))
    axes = "".join(code or "?" for code in nibabel.aff2axcodes(affine))
    return f"{axes} with {spacing} mm"
