"""Reading and augmentation that MONAI lacks."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

import itk
import numpy as np
import torch
from monai.config import KeysCollection
from monai.transforms import Compose, MapTransform, Randomizable, Transform
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

VIEWS = ("same", "two")
AUXILIARY_VIEW = "image_auxiliary"


class LoadGreyImaged(MapTransform):
    """Read PNG, JPEG, BMP and single-frame DICOM files as grey images ``(1, H, W)`` in float32.

    Pictures of any mode (grey, colour, palette, with alpha, 16-bit) become grey by luminance and are turned as their
    EXIF tag says; DICOM has its slope and intercept applied and one polarity: more is brighter, MONOCHROME1 too.

    MONAI's ``LoadImaged`` cannot be told to do only this: where a reader fails it goes on to its default ones, of
    which ITK reads a truncated JPEG without a word; its pictures are transposed, palettes arrive as indices; its
    errors often do not name the file, and its metadata holds the patient's name.

    Args:
        keys: of the paths, replaced by the images.
        allow_missing_keys: whether an item may lack a key.
    """

    def __init__(self, keys: KeysCollection, allow_missing_keys: bool = False) -> None:
        super().__init__(keys, allow_missing_keys)

    def __call__(self, data: Mapping[Hashable, Any]) -> dict[Hashable, Any]:
        """Raises ValueError or FileNotFoundError, with the file, if one cannot be read."""
        result = dict(data)
        for key in self.key_iterator(result):
            result[key] = torch.from_numpy(read_grey(result[key])).unsqueeze(0)
        return result


def read_grey(path: str | Path) -> NDArray[np.float32]:
    """Pixels ``(H, W)`` of one image file; see :class:`LoadGreyImaged`.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: if it is no image of a known format, is damaged, or is a DICOM file with colour or several frames.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: there is no such image file")
    with path.open("rb") as file:
        is_dicom = file.read(132)[128:] == b"DICM"
    return _read_dicom(path) if is_dicom else _read_picture(path)


def _read_picture(path: Path) -> NDArray[np.float32]:
    try:
        with Image.open(path) as picture:
            return np.array(ImageOps.exif_transpose(picture).convert("F"))
    except UnidentifiedImageError as error:
        raise ValueError(f"{path}: not an image; expected PNG, JPEG, BMP or DICOM") from error
    except (OSError, ValueError, SyntaxError) as error:  # what Pillow's decoders raise for damaged files
        raise ValueError(f"{path}: a damaged image file, its pixels cannot be decoded ({error})") from error


def _read_dicom(path: Path) -> NDArray[np.float32]:
    reader = itk.ImageFileReader[itk.Image[itk.F, 3]].New(FileName=str(path), ImageIO=itk.GDCMImageIO.New())
    try:
        reader.Update()
    except RuntimeError as error:
        raise ValueError(f"{path}: a damaged DICOM file, its pixels cannot be decoded ({error})") from error
    image = reader.GetOutput()
    channels, frames = reader.GetImageIO().GetNumberOfComponents(), itk.size(image)[2]
    if channels != 1 or frames != 1:
        raise ValueError(f"{path}: expected one grey frame, got {frames} frame(s) of {channels} channel(s)")
    return np.asarray(itk.array_from_image(image)[0], dtype=np.float32)


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
