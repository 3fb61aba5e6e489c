"""Reading, scaling and augmentation that MONAI lacks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Compose, MapTransform, Randomizable, Transform
from monai.utils.enums import CommonKeys
from torch.nn.functional import interpolate

from dwskd_monai.arguments import flag, optional
from dwskd_monai.reading import checked_slice_axis, read_study

VIEWS = ("same", "two")
AUXILIARY_VIEW = "image_auxiliary"
FILE_KEY = "file"
_SLAB = 32  # slices that are copied at full resolution at a time


class LoadStudyd(MapTransform):
    """Read a picture, DICOM file, DICOM series or NIfTI file as ``(1, D, H, W)``, slices of one orientation.

    Also sets ``<key>_spacing``, mm between slices, rows and columns, and ``<key>_kind``: ``picture``, ``nifti``, or the
    DICOM modality. See :func:`dwskd_monai.reading.read_study`.

    MONAI's ``LoadImaged`` cannot be told to do only this: where a reader fails it goes on to its default ones, of
    which ITK reads a truncated JPEG without a word; its pictures are transposed, palettes arrive as indices; a second
    series or a missing slice goes unnoticed; its errors often do not name the file, and its metadata holds the
    patient's name.

    Args:
        keys: of the paths, replaced by the pixels.
        slice_axis: ``axial``, ``coronal``, ``sagittal`` or ``thickest``.
        spacing_tolerance: share by which distances between DICOM slices may differ from the usual one.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        slice_axis: str = "thickest",
        spacing_tolerance: float = 0.05,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.slice_axis, self.spacing_tolerance = checked_slice_axis(slice_axis), spacing_tolerance

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Raises ValueError or FileNotFoundError, with the file, if one cannot be read."""
        result = dict(data)
        for key in self.key_iterator(result):
            study = read_study(result[key], self.slice_axis, self.spacing_tolerance)
            result[key] = study.pixels[None]
            result[f"{key}_spacing"], result[f"{key}_kind"] = study.spacing, study.kind
        return result


class FitSlicesd(MapTransform):
    """Resize each slice of ``(C, D, H, W)`` to a square's size, by area where it shrinks.

    With ``keep_aspect`` the longer side in mm gets the size and the other follows, whatever the pixels' shape, so
    ``SpatialPadd`` must make the square. ``monai.transforms.Resized`` knows pixels, not mm, and takes the whole volume
    at once; here the full resolution of a few slices is all that is copied.

    Args:
        keys: of the pixels; ``<key>_spacing`` is read where it is there.
        spatial_size: side of the square in pixels.
        keep_aspect: False: each slice is stretched to the square.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self, keys: KeysCollection, spatial_size: int, keep_aspect: bool = True, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if spatial_size < 1:
            raise ValueError(f"image_size must be 1 or more pixels, got {spatial_size}")
        self.spatial_size, self.keep_aspect = spatial_size, flag("keep_aspect", keep_aspect)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Slices ``(C, D, h, w)`` in float32, with h, w at most ``spatial_size`` and one of them equal to it."""
        result = dict(data)
        for key in self.key_iterator(result):
            pixels = result[key]
            _, rows, columns = result.get(f"{key}_spacing", (1.0, 1.0, 1.0))
            size = self._size(pixels.shape[-2] * rows, pixels.shape[-1] * columns)
            shrinks = size[0] <= pixels.shape[-2] and size[1] <= pixels.shape[-1]
            how: dict[str, Any] = {"mode": "area"} if shrinks else {"mode": "bilinear", "antialias": True}
            fitted = torch.empty(*pixels.shape[:2], *size)
            for first in range(0, pixels.shape[1], _SLAB):
                slab = np.ascontiguousarray(pixels[:, first : first + _SLAB], dtype=np.float32)
                fitted[:, first : first + _SLAB] = interpolate(torch.from_numpy(slab), size, **how)
            result[key] = fitted
        return result

    def _size(self, height: float, width: float) -> tuple[int, int]:
        if not self.keep_aspect:
            return self.spatial_size, self.spatial_size
        scale = self.spatial_size / max(height, width)
        # rounded twice, so that the last digit of a spacing does not decide
        rows, columns = (max(1, round(round(side * scale, 3))) for side in (height, width))
        return rows, columns


class WindowHounsfieldd(MapTransform):
    """Hounsfield units ``(1, D, H, W)`` to one channel in [0, 1] per window, ``(C, D, H, W)``.

    ``monai.transforms.ScaleIntensityRanged`` has one window, and takes the grey values of a PNG for Hounsfield units.

    Args:
        keys: of the pixels, read by :class:`LoadStudyd`.
        windows: width and level of each window in HU, (1500, -600) for the lung.
        picture_range: values of PNG and JPEG pictures that are black and white, for pictures that were windowed before
            they were saved; None refuses them.
        channels: number of channels that the network has, where it shall be checked.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        windows: Sequence[Sequence[float]],
        picture_range: Sequence[float] | None = None,
        channels: int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        picture_range = optional(picture_range)
        if not windows or any(len(window) != 2 or not window[0] > 0 for window in windows):
            raise ValueError(
                f"windows must be pairs of width > 0 and level in HU, such as [[1500, -600]]; got {windows}"
            )
        if picture_range is not None and (len(picture_range) != 2 or not picture_range[0] < picture_range[1]):
            raise ValueError(f"picture_range must be [black, white], such as [0, 255], or null; got {picture_range}")
        if channels is not None and channels != len(windows):
            raise ValueError(
                f"{len(windows)} windows need as many input channels, the network has {channels}: set in_chans, and "
                "num_channels of inputs.image in metadata.json"
            )
        self.ranges = [(level - width / 2, level + width / 2) for width, level in windows]
        self.picture_range = picture_range

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Raises ValueError for pixels that are not in Hounsfield units."""
        result = dict(data)
        for key in self.key_iterator(result):
            ranges = self._ranges(str(result.get(f"{key}_kind", "CT")), result)
            pixels = torch.as_tensor(result[key])
            channels = [((pixels - low) / (high - low)).clamp_(0, 1) for low, high in ranges]
            result[key] = torch.cat(channels) if len(channels) > 1 else channels[0]
        return result

    def _ranges(self, kind: str, data: Mapping[Hashable, Any]) -> Sequence[Sequence[float]]:
        place = data.get(FILE_KEY, "a study")
        if kind == "picture":
            if self.picture_range is None:
                raise ValueError(
                    f"{place}: a picture has no Hounsfield units; where pictures were windowed before they were saved, "
                    "set picture_range, such as --picture_range '[0,255]'"
                )
            if len(self.ranges) > 1:
                raise ValueError(
                    f"{place}: a picture has one window already, {len(self.ranges)} windows are configured"
                )
            return [self.picture_range]
        if kind not in ("CT", "nifti"):
            raise ValueError(f"{place}: a DICOM image of modality {kind} has no Hounsfield units; expected CT")
        return self.ranges


class AugmentViewsd(Randomizable, Transform):
    """Apply random dictionary transforms to the image once, or twice independently for the two students.

    MONAI's dictionary transforms draw one set of random parameters for all their keys; two independent views of one
    image (as in mean teacher, arXiv 1703.01780) need two draws.

    Args:
        transform: random transforms of the key ``image``.
        views: ``same``: one view, ``image``; ``two``: also ``image_auxiliary``, augmented on its own.
    """

    def __init__(self, transform: Compose, views: str = "same") -> None:
        if views not in VIEWS:
            raise ValueError(f"views must be one of {', '.join(VIEWS)}; got {views!r}")
        self.transform, self.views = transform, views

    def set_random_state(self, seed: int | None = None, state: np.random.RandomState | None = None) -> AugmentViewsd:
        """Seed the transforms."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Augmented copies of ``data``'s image, ``(C, H, W)`` each."""
        result: dict[Hashable, Any] = dict(self.transform(dict(data)))
        if self.views == "two":
            second: Any = self.transform(dict(data))
            result[AUXILIARY_VIEW] = second[CommonKeys.IMAGE]
        return result
