"""One pass over all images: each is read as a training reads it, and what a check needs to know about it is kept."""

from __future__ import annotations

import base64
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.data import DataLoader, Dataset
from monai.data.utils import no_collation
from monai.transforms import Compose, Transform
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray
from tqdm import tqdm

from dwskd_monai.data.cache import ImageCache
from dwskd_monai.data.items import is_refusal, read_prepared
from dwskd_monai.data.near_copies import SIDE
from dwskd_monai.data.refused import as_refusal
from dwskd_monai.preprocessing import LoadSlicesd
from dwskd_monai.preprocessing.fitting import fit
from dwskd_monai.preprocessing.resizing import Pixels
from dwskd_monai.reading.image import Origin
from dwskd_monai.reading.origin import origin_of
from dwskd_monai.reading.refusal import RefusedImage

_FILE = "facts.jsonl"
_VERSION = 1  # of the content of a line; images with lines of another version are read again


@dataclass(frozen=True)
class Facts:
    """What a check knows about an image.

    Args:
        thumbnail: its middle slice, ``(32, 32)`` in 8 bits.
        slices, rows, columns: of its pixels.
        spacing: mm between slices, rows and columns; ones if the file does not tell.
        origin: how the file was made.
    """

    thumbnail: NDArray[np.uint8]
    slices: int
    rows: int
    columns: int
    spacing: tuple[float, float, float]
    origin: Origin


def read_facts(
    images: Sequence[str], transforms: Sequence[Any], cache_dir: str | Path | None, num_workers: int
) -> list[Facts | RefusedImage]:
    """The facts of all images, in their order, or the reason why one is refused; with a progress bar.

    Facts are kept in ``cache_dir`` by the content of each image, one line each as soon as it is known, so that an
    interrupted check continues where it stopped, and a second one reads only new images.

    Args:
        images: paths.
        transforms: the ones that make an image's volume, as in a training; the first one reads it.
        cache_dir: of the training; None: nothing is kept.
        num_workers: processes that read.
    """
    cache = None if cache_dir is None else ImageCache(cache_dir, transforms)
    digests = _digests(images, cache)
    kept = {} if cache is None else _kept(cache.folder / _FILE)
    result: list[Facts | RefusedImage | None] = [kept.get(digest) for digest in digests]
    missing = [index for index, facts in enumerate(result) if facts is None]
    for index, facts in _read([(index, images[index]) for index in missing], transforms, num_workers):
        result[index] = facts
        if cache is not None and isinstance(facts, Facts):
            _keep(cache.folder / _FILE, digests[index], facts)
    assert None not in result
    return [facts for facts in result if facts is not None]


def _read(
    images: Sequence[tuple[int, str]], transforms: Sequence[Any], num_workers: int
) -> Iterator[tuple[int, Facts | RefusedImage]]:
    if images:
        # absolute paths: ITK changes the working directory while it loads a part of itself
        items = [{CommonKeys.IMAGE: os.path.abspath(path), "index": index} for index, path in images]
        dataset = Dataset(items, _Reading(transforms))
        loader = DataLoader(dataset, batch_size=None, num_workers=num_workers, collate_fn=no_collation)
        yield from tqdm(loader, "reading images", len(items), unit="image", disable=None)


class _Reading:
    """Reads an item in a worker process; a refusal is a result too."""

    def __init__(self, transforms: Sequence[Any]) -> None:
        places = [place for place, transform in enumerate(transforms, 1) if isinstance(transform, LoadSlicesd)]
        if not places:
            raise ValueError("study_transforms: no LoadSlicesd; check knows images that it reads")
        self._middle = _MiddleSlice()
        self._transform = Compose([*transforms[: places[0]], self._middle, *transforms[places[0] :]])

    def __call__(self, item: Mapping[str, Any]) -> tuple[int, Facts | RefusedImage]:
        try:
            read_prepared(self._transform, item)  # refuses what a training would refuse
            origin = origin_of(Path(item[CommonKeys.IMAGE]))
        except (ValueError, OSError) as error:
            if not is_refusal(error):
                raise
            return item["index"], as_refusal(error, item)
        middle = self._middle
        slices, rows, columns = middle.shape
        return item["index"], Facts(middle.thumbnail, slices, rows, columns, middle.spacing, origin)


class _MiddleSlice(Transform):
    """Notes what an image looks like before it is fitted to the network's size."""

    def __call__(self, data: Mapping[str, Any]) -> Mapping[str, Any]:
        """The same item."""
        pixels = np.asarray(data[CommonKeys.IMAGE])
        self.shape = pixels.shape[1:]
        between, rows, columns = map(float, data[f"{CommonKeys.IMAGE}_spacing"])
        self.spacing = (between, rows, columns)
        middle = pixels[:, pixels.shape[1] // 2][:, None]
        thumbnail = fit(middle, self.spacing, SIDE, keep_aspect=False)[0, 0]
        self.thumbnail = _in_8_bits(thumbnail)
        return data


def _in_8_bits(pixels: Pixels) -> NDArray[np.uint8]:
    low, high = float(pixels.min()), float(pixels.max())
    scaled: NDArray[np.uint8] = ((pixels - low) * (255 / max(high - low, 1e-9))).round().astype(np.uint8)
    return scaled


def _digests(images: Sequence[str], cache: ImageCache | None) -> list[str]:
    """The digests of the images' contents; empty for an image that cannot be opened, which reading refuses."""
    if cache is None:
        return [""] * len(images)
    digests = []
    for image in tqdm(images, "hashing images", unit="image", leave=False, disable=None):
        try:
            digests.append(cache.digest_of(image))
        except OSError:
            digests.append("")
    cache.save_index()
    return digests


def _kept(path: Path) -> dict[str, Facts]:
    """The facts of images by their digest; a line that an interruption cut off is left out."""
    kept = {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if row.get("version") == _VERSION:
            kept[row["content"]] = _facts_of(row)
    return kept


def _keep(path: Path, digest: str, facts: Facts) -> None:
    thumbnail = base64.b64encode(facts.thumbnail.tobytes()).decode()
    row = {"version": _VERSION, "content": digest, **asdict(facts), "thumbnail": thumbnail}
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(row)}\n")


def _facts_of(row: Mapping[str, Any]) -> Facts:
    thumbnail = np.frombuffer(base64.b64decode(row["thumbnail"]), np.uint8).reshape(SIDE, SIDE)
    sizes = (row["slices"], row["rows"], row["columns"])
    between, rows, columns = row["spacing"]
    return Facts(thumbnail, *sizes, (between, rows, columns), Origin(**row["origin"]))
