"""Small DICOM files for tests of reading, each with what the test needs to be odd about it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset

from dwskd_monai.data.phantoms.writing import write_dicom


def picture() -> NDArray[np.uint16]:
    """12 bits, not symmetric, height unlike width, no pixel 0, 1 or 4095."""
    pixels = np.random.default_rng(0).integers(100, 500, (40, 56)).astype(np.uint16)
    pixels[5:15, 3:10] = 4000
    return pixels


def write(path: Path, pixels: NDArray[Any] | None = None, inverted: bool = False, **attributes: Any) -> Path:
    """A picture with some attributes changed; None removes one."""
    write_dicom(picture() if pixels is None else pixels, path, "P1", inverted)
    return change(path, **attributes)


def change(path: Path, **attributes: Any) -> Path:
    """Change attributes; None removes one, bytes and texts are written as they are, whatever the standard says."""
    dataset = pydicom.dcmread(path)
    for name, value in attributes.items():
        if value is None:
            del dataset[name]
        elif isinstance(value, DataElement):
            dataset[value.tag] = value
        elif isinstance(value, str):
            dataset[name] = raw(name, value)
        elif pydicom.datadict.dictionary_VR(name) == "US or SS":
            dataset.add_new(name, "SS" if value < 0 else "US", value)
        else:
            setattr(dataset, name, value)
    dataset.save_as(path)
    return path


def raw(name: str, text: str, vr: str | None = None) -> DataElement:
    """An attribute with a text that pydicom would not take."""
    element = DataElement(name, vr or pydicom.datadict.dictionary_VR(name), "")
    element._value = text
    return element


def table(entries: NDArray[Any], first: int = 0, bits: int = 16) -> list[Dataset]:
    """The sequence of a look-up table."""
    item = Dataset()
    item.add_new("LUTDescriptor", "US", [len(entries) % 2**16, first, bits])
    item.add_new("LUTData", "OW", entries.astype("<u2").tobytes())
    return [item]
