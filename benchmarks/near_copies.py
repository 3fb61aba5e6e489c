"""Which copies ``dwskd check`` finds: changed copies of real pictures are added to them, and looked for.

python benchmarks/near_copies.py --data data/brain_mri/train,data/chest_xray/train --out near_copies.csv
"""

from __future__ import annotations

import csv
import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import fire
import numpy as np
from PIL import Image, ImageEnhance, ImageOps
from tqdm import tqdm

from dwskd_monai.data.near_copies import SIDE, near_copies
from dwskd_monai.preprocessing.fitting import fit
from dwskd_monai.reading import read_image


def compressed(picture: Image.Image, quality: int) -> Image.Image:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=quality)
    return Image.open(file)


def resized(picture: Image.Image, share: float) -> Image.Image:
    size = (round(picture.width * share), round(picture.height * share))
    return picture.resize(size, Image.Resampling.BICUBIC)


def cropped(picture: Image.Image, share: float) -> Image.Image:
    return ImageOps.crop(picture, round(min(picture.size) * share))


CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "resized to a half": lambda one: resized(one, 0.5),
    "resized to a quarter": lambda one: resized(one, 0.25),
    "stretched to 200 × 150": lambda one: one.resize((200, 150), Image.Resampling.BICUBIC),
    "JPEG of quality 30": lambda one: compressed(one, 30),
    "JPEG of quality 10": lambda one: compressed(one, 10),
    "mirrored": ImageOps.mirror,
    "upside down": ImageOps.flip,
    "turned by 90°": lambda one: one.transpose(Image.Transpose.ROTATE_90),
    "mirrored, resized, JPEG": lambda one: compressed(resized(ImageOps.mirror(one), 0.6), 50),
    "brightness + 20 %": lambda one: ImageEnhance.Brightness(one).enhance(1.2),
    "contrast - 30 %": lambda one: ImageEnhance.Contrast(one).enhance(0.7),
    "gamma 0.7": lambda one: one.point([round(255 * (value / 255) ** 0.7) for value in range(256)]),
    "cropped by 1 %": lambda one: cropped(one, 0.01),
    "cropped by 2 %": lambda one: cropped(one, 0.02),
    "cropped by 5 %": lambda one: cropped(one, 0.05),
    "turned by 2°": lambda one: one.rotate(2, Image.Resampling.BILINEAR),
}


def copies(data: str, out: str, sources: int = 200, seed: int = 0) -> None:
    """Plant copies of each kind, find them, and write a row for each kind.

    Args:
        data: folders of pictures with commas between them, each by itself.
        out: CSV file.
        sources: pictures of which copies are made, of each kind one.
        seed: of their choice.
    """
    rows = [row for folder in data.split(",") for row in _rows(Path(folder), sources, seed)]
    with Path(out).open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["data", "change", "copies", "recall", "precision"], *rows])


def _rows(folder: Path, sources: int, seed: int) -> Iterator[list[object]]:
    files = pictures_in(folder)
    name = "/".join(folder.parts[-2:])
    chosen = np.random.default_rng(seed).choice(len(files), min(sources, len(files)), replace=False)
    thumbnails = np.stack([thumbnail(read_image(path).pixels[0]) for path in tqdm(files, "reading")])
    among = near_copies(thumbnails)
    twins = {frozenset((pair.first, pair.second)) for pair in among}
    sys.stdout.write(f"{name}: {len(among)} pairs among the {len(files)} pictures themselves\n")
    for kind, change in CHANGES.items():
        planted = []
        for index in chosen:
            with Image.open(files[index]) as picture:
                planted.append(thumbnail(np.asarray(change(picture.convert("L")), np.float32)))
        found = near_copies(np.concatenate([thumbnails, planted]))
        of_copies = [pair for pair in found if pair.first < len(files) <= pair.second]
        pairs = [(pair.first, int(chosen[pair.second - len(files)])) for pair in of_copies]
        right = [first == source or frozenset((first, source)) in twins for first, source in pairs]
        recall = len({source for first, source in pairs if first == source}) / len(chosen)
        precision = f"{np.mean(right):.3f}" if right else ""
        sys.stdout.write(f"{name}: {kind}: recall {recall:.3f}, precision {precision}\n")
        yield [name, kind, len(chosen), f"{recall:.3f}", precision]


def pictures_in(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.suffix in (".jpg", ".png"))


def thumbnail(pixels: np.ndarray) -> np.ndarray:
    """As the command makes it: by area, in 8 bits."""
    small = fit(pixels[None, None].astype(np.float32), (1.0, 1.0, 1.0), SIDE, keep_aspect=False)[0, 0]
    return ((small - small.min()) * (255 / max(float(np.ptp(small)), 1e-9))).round().astype(np.uint8)


if __name__ == "__main__":
    fire.Fire(copies)
