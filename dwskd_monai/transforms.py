"""Reading and augmentation that MONAI lacks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path
from typing import Any

import itk
import numpy as np
from monai.config import PathLike
from monai.data import ITKReader
from monai.transforms import Compose, Randomizable, Transform
from monai.utils import ensure_tuple
from monai.utils.enums import CommonKeys

VIEWS = ("same", "two")
AUXILIARY_VIEW = "image_auxiliary"


class DicomReader(ITKReader):
    """Read single-frame grey DICOM images as ``(H, W)`` arrays of one polarity, and nothing else.

    ITK does the decoding: slope and intercept are applied, and MONOCHROME1 is inverted, so that more is brighter in
    each image. MONAI's ``PydicomReader`` leaves MONOCHROME1 inverted; its ``ITKReader`` also accepts other formats
    (a truncated JPEG without a word), gives ``(W, H, 1)``, and copies the patient's name into the metadata, where
    this reader leaves only the geometry.
    """

    def __init__(self) -> None:
        super().__init__(reverse_indexing=True)

    def verify_suffix(self, filename: Sequence[PathLike] | PathLike) -> bool:
        """Whether the files are DICOM files by their content; many have no suffix."""
        return all(_is_dicom(name) for name in ensure_tuple(filename))

    def read(self, data: Sequence[PathLike] | PathLike, **kwargs: Any) -> Any:
        """Read one DICOM file.

        Raises:
            ValueError: if the file is no DICOM file, is damaged, or holds several frames or colour.
        """
        (name,) = ensure_tuple(data)
        if not _is_dicom(name):
            raise ValueError(f"{name}: not a DICOM file (no DICM prefix)")
        reader = itk.ImageFileReader[itk.Image[itk.F, 3]].New(FileName=str(name), ImageIO=itk.GDCMImageIO.New())
        try:
            reader.Update()
        except RuntimeError as error:
            raise ValueError(f"{name}: a damaged DICOM file, its pixels cannot be decoded ({error})") from error
        channels = reader.GetImageIO().GetNumberOfComponents()
        image = reader.GetOutput()
        frames = itk.size(image)[2]
        if channels != 1 or frames != 1:
            raise ValueError(f"{name}: expected one grey frame, got {frames} frame(s) of {channels} channel(s)")
        return image

    def get_data(self, img: Any) -> tuple[np.ndarray, dict]:
        """The pixels ``(H, W)`` in float32, and metadata without anything about the patient."""
        pixels = np.asarray(itk.array_from_image(img), dtype=np.float32)[0]
        meta = {"spatial_shape": np.asarray(pixels.shape), "original_channel_dim": float("nan"), "affine": np.eye(4)}
        return pixels, meta


def _is_dicom(name: PathLike) -> bool:
    path = Path(name)
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(132)[128:] == b"DICM"


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

    def set_random_state(
        self, seed: int | None = None, state: np.random.RandomState | None = None
    ) -> AugmentViewsd:
        """Seed the transforms."""
        super().set_random_state(seed, state)
        self.transform.set_random_state(seed, state)
        return self

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Augmented copies of ``data``'s image, ``(C, H, W)`` each."""
        result: dict[Hashable, Any] = dict(self.transform(dict(data)))  # type: ignore[call-overload]
        if self.views == "two":
            second: Any = self.transform(dict(data))
            result[AUXILIARY_VIEW] = second[CommonKeys.IMAGE]
        return result
