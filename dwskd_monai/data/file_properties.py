"""What a file is, apart from what it shows: its size, type and bit depth, and the scanner if its header tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from dwskd_monai.reading.origin import origin_of, size_of

Property = tuple[float, ...] | tuple[str, ...]


def file_properties(images: Sequence[Sequence[str]]) -> Mapping[str, list[Property]]:
    """Properties, each with a row for each study; those of pixels and headers are of its first image.

    Args:
        images: the paths of the images of each study.
    """
    found: dict[str, list[Property]] = {}
    for paths in images:
        first = Path(paths[0])
        slices, rows, columns = size_of(first)
        origin = origin_of(first)
        row: dict[str, Property] = {
            "image size": (float(rows), float(columns), rows / columns, float(slices), float(len(paths))),
            "bit depth": (origin.bits, origin.colors),
            "file type": (origin.format,),
            "view": (origin.view,),
            "scanner": (origin.manufacturer, origin.model, origin.site),
        }
        for name, values in row.items():
            found.setdefault(name, []).append(values)
    return found
