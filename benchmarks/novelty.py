"""How well novelty scores tell images of another kind, and spoiled images, from new images of a bundle's own kind.

    PYTHONPATH=benchmarks python benchmarks/novelty.py --results results/novelty --pool DATA/ct_pool

``results/novelty`` has, for each set, the trained bundle ``SET_classification`` and the folder ``SET`` with the
datalists ``train.csv``, which trained it, and ``test.csv``, as ``hold_out.py`` writes them. Images are spoiled as
files, before they are read and resized. Scores of one network, or of its input, are compared. Each is fitted to the
training images, and the limit of the score that is used is fitted to the validation images of the training.
"""

from __future__ import annotations

import csv
import json
import random
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import fire
import narrow_efficientnet  # noqa: F401  makes the names of students known
import numpy as np
import torch
from monai.transforms import Compose
from numpy.typing import NDArray
from PIL import Image, ImageFilter, ImageOps
from scipy.special import logsumexp
from sklearn.covariance import LedoitWolf
from sklearn.metrics import roc_auc_score
from sklearn.neighbors import NearestNeighbors
from torch import nn
from tqdm import tqdm

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.data.cache import digest_of
from dwskd_monai.evaluation.novelty import describe_slices, read_novelty
from dwskd_monai.evaluation.novelty_fitting import fit_distance, fit_novelty

Array = NDArray[np.float64]
Score = Callable[[dict[str, Array]], Array]
SETS = ("chest_xray", "lung_ct", "brain_mri")
_BATCH, _NEIGHBORS, _PRINCIPAL = 32, 10, 64


def _noise(image: Image.Image) -> Image.Image:
    pixels = np.asarray(image, dtype=float)
    noise = np.random.default_rng(pixels.size).normal(0, 25, pixels.shape)
    return Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8))


def _center(image: Image.Image) -> Image.Image:
    width, height = image.width // 4, image.height // 4
    return image.crop((width, height, image.width - width, image.height - height))


SPOILED: dict[str, Callable[[Image.Image], Image.Image]] = {  # the shorter side of an image has 256 pixels
    "blur": lambda image: image.filter(ImageFilter.GaussianBlur(3)),
    "noise": _noise,
    "inversion": ImageOps.invert,
    "rotation": lambda image: image.transpose(Image.Transpose.ROTATE_90),
    "crop": _center,
}


class Describer:
    """What scores are made from: pooled and early features and logits of a network, and its input.

    Args:
        bundle: folder of the trained bundle.
    """

    def __init__(self, bundle: Path) -> None:
        trained = TrainedBundle(Bundle(bundle))
        self.settings = trained.settings
        self.network = trained.network
        self._read = Compose(trained.settings.create_transforms())
        self._caught: dict[str, torch.Tensor] = {}
        network: Any = trained.network
        network.get_classifier().register_forward_pre_hook(self._catch_pooled)
        network.blocks[1].register_forward_hook(self._catch_early)

    def _catch_pooled(self, module: nn.Module, inputs: tuple[torch.Tensor]) -> None:
        self._caught["pooled"] = inputs[0]

    def _catch_early(self, module: nn.Module, inputs: Any, output: torch.Tensor) -> None:
        self._caught["early"] = torch.cat([output.mean((2, 3)), output.std((2, 3))], 1)

    @torch.inference_mode()
    def __call__(self, files: list[str], what: str) -> dict[str, Array]:
        """Arrays ``(N, D)`` by name."""
        found: dict[str, list[Array]] = {}
        for first in tqdm(range(0, len(files), _BATCH), what, leave=False):
            images = [self._read({"image": file})["image"] for file in files[first : first + _BATCH]]
            slices = torch.stack([torch.as_tensor(np.asarray(image))[:, 0].float() for image in images])
            logits = self.network(slices)
            parts = {**self._caught, "logits": logits, "described": torch.from_numpy(describe_slices(slices.numpy()))}
            for name, part in parts.items():
                found.setdefault(name, []).append(part.double().numpy())
        return {name: np.concatenate(parts) for name, parts in found.items()}


def scores_of(training: dict[str, Array]) -> dict[str, Score]:
    """Scores by their names, fitted to training images; higher for images that are unlike them."""
    return {
        "pooled features, Mahalanobis": _mahalanobis(training, "pooled"),
        "pooled features, kNN": _nearest(training, "pooled"),
        "pooled features, ViM": _vim(training),
        "features of the second stage, Mahalanobis": _mahalanobis(training, "early"),
        "description, kNN": _nearest(training, "described"),
        "**description, Mahalanobis** (used)": _of(fit_distance(training["described"]).of_descriptions, "described"),
    }


def _of(score: Callable[[Array], Array], name: str) -> Score:
    return lambda found: score(found[name])


def _mahalanobis(training: dict[str, Array], name: str) -> Score:
    fitted = LedoitWolf().fit(training[name])
    return _of(fitted.mahalanobis, name)


def _nearest(training: dict[str, Array], name: str) -> Score:
    """Sun et al., Out-of-Distribution Detection with Deep Nearest Neighbors, ICML 2022."""
    center, spread = training[name].mean(0), training[name].std(0) + 1e-3

    def normalized(rows: Array) -> Array:
        return (rows - center) / spread if name == "described" else rows / np.linalg.norm(rows, axis=1, keepdims=True)

    tree = NearestNeighbors(n_neighbors=_NEIGHBORS).fit(normalized(training[name]))
    return _of(lambda rows: np.asarray(tree.kneighbors(normalized(rows))[0][:, -1]), name)


def _vim(training: dict[str, Array]) -> Score:
    """Wang et al., ViM: Out-Of-Distribution with Virtual-logit Matching, CVPR 2022, about the mean of the features."""
    center = training["pooled"].mean(0)
    axes = np.linalg.eigh(np.cov((training["pooled"] - center).T))[1][:, :-_PRINCIPAL]

    def residual(found: dict[str, Array]) -> Array:
        return np.asarray(np.linalg.norm((found["pooled"] - center) @ axes, axis=1))

    scale = training["logits"].max(1).mean() / residual(training).mean()
    return lambda found: np.asarray(scale * residual(found) - logsumexp(found["logits"], axis=1))


def benchmark(results: str, pool: str, most: int = 200, seed: int = 0) -> None:
    """Print a table for each set, and write them as ``novelty.json``.

    Args:
        results: the folder that is described above.
        pool: folder with further CT slices.
        most: images of each kind, at most; all training images are used.
        seed: of their choice.
    """
    torch.set_num_threads(1)
    folder = Path(results)
    chosen = {name: _some(_listed(folder / name / "test.csv"), most, seed) for name in SETS}
    chosen["ct_pool"] = _some(map(str, Path(pool).rglob("*.jpg")), most, seed)
    measured = {}
    for name in SETS:
        describe = Describer(folder / f"{name}_classification")
        groups = {"own": chosen[name], **{kind: files for kind, files in chosen.items() if kind != name}}
        with tempfile.TemporaryDirectory() as place:
            groups |= _spoiled(chosen[name], Path(place))
            measured[name] = measure(describe, _listed(folder / name / "train.csv"), groups)
        print(f"\n{name}: {json.dumps(measured[name]['n'])}\n")
        _print_table(measured[name]["rows"])
    (folder / "novelty.json").write_text(json.dumps(measured, indent=1) + "\n")


def measure(describe: Describer, listed: list[str], groups: dict[str, list[str]]) -> dict[str, Any]:
    """AUROC of each score for each group against the set's own test images, and shares beyond the limit."""
    contents = np.array([digest_of(file) for file in listed])
    everything = describe(listed, "training")
    parts = {}
    for split in ("training", "validation"):
        members = np.isin(contents, describe.settings.images[split] or [])
        parts[split] = {name: rows[members] for name, rows in everything.items()}
    found = {group: describe(files, group) for group, files in groups.items()}
    rows: dict[str, dict[str, float]] = {}
    for name, score in scores_of(parts["training"]).items():
        values = {group: score(part) for group, part in found.items()}
        rows[name] = {group: _auroc(values["own"], values[group]) for group in groups if group != "own"}
    count = len(parts["validation"]["described"])
    record = fit_novelty(
        parts["training"]["described"], parts["validation"]["described"], np.arange(count), [None] * count
    )
    novelty = read_novelty(record)
    assert novelty.study_limit is not None
    beyond = {
        group: float((novelty.of_descriptions(part["described"]) > novelty.study_limit).mean())
        for group, part in found.items()
    }
    rows["share beyond its limit"] = beyond
    n = {"training": len(parts["training"]["logits"]), "validation": count}
    return {"n": n | {group: len(files) for group, files in groups.items()}, "rows": rows}


def _auroc(own: Array, others: Array) -> float:
    return float(roc_auc_score(np.repeat([0, 1], [len(own), len(others)]), np.concatenate([own, others])))


def _listed(datalist: Path) -> list[str]:
    with datalist.open(newline="") as file:
        return [row["image"] for row in csv.DictReader(file)]


def _some(files: Iterable[str], most: int, seed: int) -> list[str]:
    everything = sorted(files)
    return sorted(random.Random(seed).sample(everything, min(most, len(everything))))


def _spoiled(files: list[str], place: Path) -> dict[str, list[str]]:
    written: dict[str, list[str]] = {}
    for name, spoil in SPOILED.items():
        (place / name).mkdir()
        for number, file in enumerate(files):
            target = place / name / f"{number}.png"
            spoil(Image.open(file).convert("L")).save(target)
            written.setdefault(name, []).append(str(target))
    return written


def _print_table(rows: dict[str, dict[str, float]]) -> None:
    columns = list(rows["share beyond its limit"])
    print(f"| score | {' | '.join(columns)} |\n|---|{'---|' * len(columns)}")
    for name, row in rows.items():
        print(f"| {name} | {' | '.join(f'{row[key]:.3f}' if key in row else '' for key in columns)} |")


if __name__ == "__main__":
    fire.Fire(benchmark)
