"""Reading and preprocessing as dictionary transforms of MONAI; the work on pixels is in the other modules here."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Any

import numpy as np
from monai.config import KeysCollection
from monai.transforms import MapTransform

from dwskd_monai.preprocessing import fitting, intensity
from dwskd_monai.preprocessing.expectation import Expectation, Values
from dwskd_monai.preprocessing.resizing import Pixels
from dwskd_monai.preprocessing.version import PREPROCESSING_VERSION
from dwskd_monai.reading import RefusedImage, checked_slice_axis, read_image
from dwskd_monai.reading.slice_axis import UNKNOWN_PLANE

FILE_KEY = "file"


class _Preprocessing(MapTransform):
    """A transform whose results depend on this package's version of reading and preprocessing."""

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.version = PREPROCESSING_VERSION  # an attribute, since the cache's key is made of the attributes

    def _changed(self, data: Mapping[Hashable, Any], change: Callable[[Pixels], Pixels]) -> dict[Hashable, Any]:
        """A copy of ``data`` with ``change`` applied to the pixels of each key."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = change(np.asarray(result[key]))
        return result


class LoadSlicesd(_Preprocessing):
    """Read a picture, DICOM file, DICOM series or NIfTI file as ``(1, D, H, W)`` in float32, slices of one orientation.

    Also sets ``<key>_spacing`` (mm between slices, rows and columns), ``<key>_kind`` (``picture``, ``volume``, or the
    DICOM modality), ``<key>_plane`` (``axial``, ``coronal``, ``sagittal``, or ``unknown``), ``<key>_padding`` (the
    share of the pixels that are not part of the image), and ``<key>_says`` (what a DICOM header says about the kind of
    image). See :func:`dwskd_monai.reading.read_image`.

    MONAI's ``LoadImaged`` is not strict enough. If a reader fails, it tries its default ones, and ITK reads a truncated
    JPEG without an error. It transposes pictures, and returns the indices of a palette. A second series or a missing
    slice goes unnoticed. Its errors often do not name the file, and its metadata has the patient's name.

    Args:
        keys: of the paths, replaced by the pixels.
        slice_axis: how a volume is cut, see :func:`dwskd_monai.reading.read_image`.
        spacing_tolerance: share by which distances between DICOM slices may differ from the usual one.
        expected, unexpected, accept: as of :class:`ExpectImaged`, which judges images that can be read. Here a header
            is judged before its pixels are, so that an image of another kind is called that, and is not decoded.
        version: the :data:`PREPROCESSING_VERSION` that the pixels must have; None: any.
        allow_missing_keys: whether an item may lack a key.

    Raises:
        ValueError: if ``slice_axis`` is unknown, or if the version of this package is another one.
    """

    def __init__(
        self,
        keys: KeysCollection,
        slice_axis: str = "thickest",
        spacing_tolerance: float = 0.05,
        expected: Values | None = None,
        unexpected: Values | None = None,
        accept: Sequence[str] = (),
        version: int | None = None,
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if version not in (None, PREPROCESSING_VERSION):
            raise ValueError(
                f"preprocessing_version: the network was trained with images of version {version}, but this "
                f"dwskd_monai prepares images of version {PREPROCESSING_VERSION}; use the dwskd_monai of the training "
                "(model.yaml names it), or set it in train.yaml and train again"
            )
        self.slice_axis = checked_slice_axis(slice_axis)
        self.spacing_tolerance = spacing_tolerance
        self.expectation = Expectation(expected or {}, unexpected or {}, accept=accept)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Raises RefusedImage, which names the file, if one cannot be read."""
        result = dict(data)
        for key in self.key_iterator(result):
            image = read_image(result[key], self.slice_axis, self.spacing_tolerance, self.expectation.problem_of_header)
            # what a transform of a user's own computes with 16 bits would overflow
            result[key] = np.asarray(image.pixels[None], np.float32)
            result[f"{key}_spacing"] = image.spacing
            result[f"{key}_kind"] = image.kind
            result[f"{key}_plane"] = image.plane or UNKNOWN_PLANE
            result[f"{key}_padding"] = image.padding
            result[f"{key}_says"] = dict(image.says)
        return result


class ExpectImaged(_Preprocessing):
    """Refuse images that are not of the kind that a network is for; see :class:`.expectation.Expectation`.

    MONAI does not check headers; torchxrayvision only warns of a wrong range of values.

    Args:
        keys: of the pixels, read by :class:`LoadSlicesd`.
        expected, unexpected, most_slices, hounsfield, accept: as for the expectation; ``hounsfield`` applies to volumes
            and CT, not to pictures.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self,
        keys: KeysCollection,
        expected: Values | None = None,
        unexpected: Values | None = None,
        most_slices: int | None = None,
        hounsfield: bool = False,
        accept: Sequence[str] = (),
        allow_missing_keys: bool = False,
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        self.expectation = Expectation(expected or {}, unexpected or {}, most_slices, hounsfield, accept)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """The same item; raises RefusedImage for one that is not expected."""
        result = dict(data)
        for key in self.key_iterator(result):
            expectation = self.expectation.of_kind(str(result.get(f"{key}_kind")))
            says = result.get(f"{key}_says", {})
            problem = expectation.problem(says, np.asarray(result[key]))
            if problem is not None:
                file = str(result.get(FILE_KEY, "an image"))
                raise RefusedImage(file, problem, "unexpected", says.get("series"), says.get("instance"))
        return result


class FitSlicesd(_Preprocessing):
    """Resize each slice of ``(C, D, H, W)`` to fit a square, by area along each axis that shrinks.

    See :func:`dwskd_monai.preprocessing.fitting.fit`. ``monai.transforms.Resized`` knows pixels but not mm, is right at
    integer ratios only, and takes the whole volume at once; here only a few slices at a time are copied at full
    resolution.

    Args:
        keys: of the pixels; ``<key>_spacing`` is read if it is there.
        spatial_size: side of the square in pixels.
        keep_aspect: True: the longer side in mm gets the size, and :class:`PadSlicesd` makes the square; False: each
            slice is stretched to the square.
        allow_missing_keys: whether an item may lack a key.

    Examples:
        >>> item = {"image": np.zeros((1, 3, 100, 200), np.float32), "image_spacing": (5.0, 1.0, 1.0)}
        >>> FitSlicesd("image", spatial_size=64)(item)["image"].shape
        (1, 3, 32, 64)
    """

    def __init__(
        self, keys: KeysCollection, spatial_size: int, keep_aspect: bool = True, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if spatial_size < 1:
            raise ValueError(f"image_size must be 1 or more pixels, got {spatial_size}")
        self.spatial_size = spatial_size
        self.keep_aspect = keep_aspect

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Slices ``(C, D, h, w)`` in float32, with h, w at most ``spatial_size`` and one of them equal to it."""
        result = dict(data)
        for key in self.key_iterator(result):
            spacing = result.get(f"{key}_spacing", (1.0, 1.0, 1.0))
            result[key] = fitting.fit(np.asarray(result[key]), spacing, self.spatial_size, self.keep_aspect)
        return result


class ScalePercentilesd(_Preprocessing):
    """Scale the intensities of a whole image to [0, 1], so that the values at two percentiles become 0 and 1.

    ``monai.transforms.ScaleIntensityRangePercentilesd`` does the same with torch; this one needs only numpy, so it also
    runs without torch.

    Args:
        keys: of the pixels.
        lower: percentile that becomes 0, in [0, 100].
        upper: percentile that becomes 1.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(
        self, keys: KeysCollection, lower: float = 0.5, upper: float = 99.5, allow_missing_keys: bool = False
    ) -> None:
        super().__init__(keys, allow_missing_keys)
        if not 0 <= lower < upper <= 100:
            raise ValueError(f"expected percentiles 0 <= lower < upper <= 100, got lower={lower}, upper={upper}")
        self.lower = lower
        self.upper = upper

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Pixels of the same shape; ``<key>_padding`` is read if it is there."""
        result = dict(data)
        for key in self.key_iterator(result):
            padding = float(result.get(f"{key}_padding", 0.0))
            result[key] = intensity.scale_percentiles(np.asarray(result[key]), self.lower, self.upper, padding)
        return result


class WindowHounsfieldd(_Preprocessing):
    """Turn Hounsfield units ``(1, D, H, W)`` into one channel in [0, 1] for each window, ``(C, D, H, W)``.

    ``monai.transforms.ScaleIntensityRanged`` has one window, and takes the gray values of a PNG for Hounsfield units.

    Args:
        keys: of the pixels, read by :class:`LoadSlicesd`.
        windows: width and level of each window in HU, (1500, -600) for the lung.
        picture_range: which values are black and white in PNG and JPEG pictures that were windowed before they were
            saved; None refuses such pictures. A picture with values beyond these is refused.
        channels: number of channels that the network has, if it is to be checked.
        allow_missing_keys: whether an item may lack a key.

    Examples:
        >>> lung_and_soft_tissue = WindowHounsfieldd("image", windows=[[1500, -600], [400, 40]])
        >>> item = {"image": np.full((1, 1, 1, 1), 40, np.float32)}
        >>> lung_and_soft_tissue(item)["image"].flatten().round(2)
        array([0.93, 0.5 ], dtype=float32)
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
        self.ranges = intensity.window_ranges(windows)
        self.picture_range = intensity.checked_picture_range(picture_range)
        if channels is not None and channels != len(windows):
            raise ValueError(
                f"{len(windows)} windows need as many input channels, the network has {channels}: set in_chans, and "
                "num_channels of inputs.image in metadata.json"
            )

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Raises RefusedImage for pixels that are not in Hounsfield units, or beyond ``picture_range``."""
        result = dict(data)
        for key in self.key_iterator(result):
            try:
                result[key] = self._windowed(np.asarray(result[key]), str(result.get(f"{key}_kind", intensity.CT)))
            except ValueError as error:
                raise RefusedImage(str(result.get(FILE_KEY, "an image")), str(error), "content") from error
        return result

    def _windowed(self, pixels: Pixels, kind: str) -> Pixels:
        ranges = intensity.ranges_of_kind(kind, self.ranges, self.picture_range)
        if kind == intensity.PICTURE and self.picture_range is not None:
            intensity.refuse_beyond(pixels, self.picture_range)
        return intensity.window(pixels, ranges)


class PadSlicesd(_Preprocessing):
    """Put slices ``(C, D, h, w)`` in the middle of a square of zeros.

    Args:
        keys: of the pixels, scaled to [0, 1].
        spatial_size: side of the square in pixels.
        allow_missing_keys: whether an item may lack a key.

    Examples:
        >>> PadSlicesd("image", spatial_size=64)({"image": np.zeros((1, 3, 32, 64), np.float32)})["image"].shape
        (1, 3, 64, 64)
    """

    def __init__(self, keys: KeysCollection, spatial_size: int, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        self.spatial_size = spatial_size

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Slices ``(C, D, spatial_size, spatial_size)``."""
        return self._changed(data, lambda pixels: fitting.pad(pixels, self.spatial_size))


class NormalizeSlicesd(_Preprocessing):
    """Subtract a mean and divide by a standard deviation.

    Args:
        keys: of the pixels, scaled to [0, 1].
        mean: of the intensities that the teacher was pretrained with.
        std: their standard deviation, > 0.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(self, keys: KeysCollection, mean: float, std: float, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)
        if not std > 0:
            raise ValueError(f"intensity_std must be greater than 0, got {std}")
        self.mean = mean
        self.std = std

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Pixels of the same shape."""
        return self._changed(data, lambda pixels: intensity.normalize(pixels, self.mean, self.std))
