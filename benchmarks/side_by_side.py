"""What images without labels bring: students of many seeds, folds and sets, trained side by side on one GPU.

    python benchmarks/side_by_side.py --out results/side_by_side

The same methods as in ``benchmarks/unlabeled.yaml``, computed for all runs at once: preprocessing, splits and weight
selection are the package's; augmentation, schedule, optimizer and losses are written again for stacks of networks
(``grouped.py``). Each number is of the last step: nothing is chosen by validation or test images. Writes ``runs.csv``.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import fire
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from grouped import Grouped, GroupedAdamW
from monai.bundle import ConfigParser
from monai.transforms import Compose
from narrow_efficientnet import create_model
from PIL import Image
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold
from torch import Tensor

from dwskd_monai.data import load_split
from dwskd_monai.training import create_teacher, initialize_students
from dwskd_monai.training.losses.softened_kl import softened_kl
from dwskd_monai.training.soft_labels import with_prior

BUNDLES = Path(__file__).parents[1] / "bundles"
SIZE = 96
BATCH = 16
LEARNING_RATE = 0.002
TEMPERATURE = 2.0
LABELED_SHARE = 0.5
VIEWS = 4
EPOCHS = {1000: 10, 3000: 20}  # of the schedules, which count epochs; those of a part of a training are half as many
NO_LABEL = -100


@dataclass(frozen=True)
class Source:
    """A set of images and how they are read."""

    name: str
    train: Path
    test: Path
    fraction: float
    bundle: str
    overrides: Mapping[str, Any] = field(default_factory=dict)
    pool: Path | None = None
    """Further images without labels."""


@dataclass
class Pair:
    """The images of one set, fold and seed, by their rows in a tensor of all images; and their classes."""

    source: str
    fold: int
    seed: int
    classes: int
    labeled: list[int]
    labels: list[int]
    unlabeled: list[int]
    truth: list[int]
    """Of the first unlabeled images; those of a pool have none."""
    validation: list[int]
    validation_labels: list[int]
    test: list[int]
    test_labels: list[int]


def side_by_side(
    out: str, data: str = "data", few: str = "results/few", teacher_weights: str = "results/imagenet.safetensors",
    seeds: int = 6, steps: int = 1000,
) -> None:  # fmt: skip
    """Train and measure.

    Args:
        out: folder of ``runs.csv``.
        data: folder of the images.
        few: folder of the datalists that ``hold_out.py`` wrote; those of dermoscopy are made there.
        teacher_weights: that ``imagenet_weights.py`` wrote.
        seeds: of each set; each with two folds.
        steps: of each student before the images are labeled, and of main after its restart.
    """
    images, pairs = read_pairs(_sources(Path(data), Path(few)), seeds)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    trainer = SideBySide(images.to(device), pairs, teacher_weights)
    rows = measure(trainer, steps)
    Path(out).mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(Path(out) / "runs.csv", index=False, float_format="%.6g")
    print(table.groupby(["method", "set"])[["test_balanced_accuracy"]].agg(["mean", "std", "count"]))


def measure(trainer: SideBySide, steps: int) -> list[dict[str, Any]]:
    """All methods; a row for each and each pair."""
    count = len(trainer.pairs)
    first = [trainer.first_weights(pair, role) for role in (0, 1) for pair in trainer.pairs]
    students = trainer.train(first, trainer.pairs * 2, steps, EPOCHS[1000], seed=1)
    main, auxiliary = students.part(0, count), students.part(count, 2 * count)
    of_main, of_auxiliary = trainer.evaluated(main), trainer.evaluated(auxiliary)
    both = [(own + other) / 2 for own, other in zip(of_main, of_auxiliary)]
    opinions = [(own + other) / 2 for own, other in zip(trainer.opinions(main), trainer.opinions(auxiliary))]
    matched = [_matched(opinion, pair) for opinion, pair in zip(opinions, trainer.pairs)]
    distilled = trainer.train(first[:count], trainer.pairs, steps, EPOCHS[1000], seed=2, soft_labels=matched)
    longer = trainer.train(first[:count], trainer.pairs, 3 * steps, EPOCHS[3000], seed=3)
    measured = {
        f"selection_{steps}": of_main,
        f"auxiliary_{steps}": of_auxiliary,
        f"both_{steps}": both,
        "soft_labels": trainer.evaluated(distilled),
        f"selection_{3 * steps}": trainer.evaluated(longer),
    }
    rows = []
    for method, predictions in measured.items():
        for index, (pair, probabilities) in enumerate(zip(trainer.pairs, predictions)):
            row: dict[str, Any] = {"method": method, "set": pair.source, "fold": pair.fold, "seed": pair.seed}
            split = len(pair.validation)
            row["balanced_accuracy"] = _balanced(probabilities[:split], pair.validation_labels)
            row["test_balanced_accuracy"] = _balanced(probabilities[split:], pair.test_labels)
            if method == "soft_labels":
                known = slice(len(pair.labeled), len(pair.labeled) + len(pair.truth))
                row["accuracy_of_soft_labels"] = _balanced(matched[index][known], pair.truth)
                row["unmatched"] = _balanced(opinions[index][known], pair.truth)
            if method.startswith("both"):
                one, other = of_main[index][split:].argmax(1), of_auxiliary[index][split:].argmax(1)
                row["agreement"] = float((one == other).float().mean())
            rows.append(row)
    return rows


class SideBySide:
    """Trains networks of one architecture, each with the images of its pair.

    Args:
        images: of all sets, ``(N, H, W)`` in [-1, 1], on the device.
        pairs: what is trained.
        teacher_weights: file of EfficientNet-Lite2.
    """

    def __init__(self, images: Tensor, pairs: Sequence[Pair], teacher_weights: str) -> None:
        self.images = images
        self.pairs = list(pairs)
        self.device = images.device
        self.most_classes = max(pair.classes for pair in pairs)
        teacher = create_teacher("tf_efficientnet_lite2", teacher_weights, in_chans=1)
        self.students = [self._student() for _ in range(2)]
        initialize_students(*self.students, teacher)

    def first_weights(self, pair: Pair, role: int) -> dict[str, Tensor]:
        """Selected weights of main (role 0) or auxiliary (1), and a new classifier as timm initializes it."""
        generator = torch.Generator().manual_seed(1000 * (10 * pair.seed + pair.fold) + role)
        state = dict(self.students[role].state_dict())
        width = state["classifier.weight"].shape[1]
        new = torch.zeros(self.most_classes, width)
        new[: pair.classes] = (torch.rand(pair.classes, width, generator=generator) * 2 - 1) / math.sqrt(pair.classes)
        return state | {"classifier.weight": new, "classifier.bias": torch.zeros(self.most_classes)}

    def train(
        self,
        first_weights: Sequence[Mapping[str, Tensor]],
        pairs: Sequence[Pair],
        steps: int,
        epochs: int,
        seed: int,
        soft_labels: Sequence[Tensor] | None = None,
    ) -> Grouped:
        """Networks after ``steps`` steps, from labels and, if given, soft labels of labeled and unlabeled images."""
        networks = Grouped(self.students[0], first_weights, self.device)
        optimizer = GroupedAdamW(networks)
        random = np.random.default_rng(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        drawn = [_draw(pair, steps, random, soft_labels is not None) for pair in pairs]
        places = torch.from_numpy(np.stack(drawn)).to(self.device)  # (R, steps, B), among labeled and unlabeled images
        rows = self._padded([pair.labeled + pair.unlabeled for pair in pairs])
        labels = self._padded([pair.labels + [NO_LABEL] * len(pair.unlabeled) for pair in pairs], NO_LABEL)
        hidden = self._hidden(pairs)
        table = (
            None if soft_labels is None else torch.nn.utils.rnn.pad_sequence(list(soft_labels), True).to(self.device)
        )
        own = torch.arange(len(pairs), device=self.device)[:, None]
        for step in range(steps):
            place = places[:, step]
            views = augmented(self.images[rows[own, place].flatten()][:, None], generator)
            logits = networks(views.view(*place.shape, *views.shape[1:]), training=True) + hidden
            loss = _task_loss(logits, labels[own, place])
            if table is not None:
                loss = loss + _ramp(step * epochs / steps) * _soft_loss(logits, table[own, place])
            loss.sum().backward()
            optimizer.step(LEARNING_RATE * _schedule(step * epochs // steps, epochs))
        return networks

    def evaluated(self, networks: Grouped) -> list[Tensor]:
        """Probabilities of the validation images, and after them of the test images, of each pair."""
        return self._probabilities(networks, [pair.validation + pair.test for pair in self.pairs])

    def opinions(self, networks: Grouped) -> list[Tensor]:
        """Probabilities of labeled and unlabeled images, mean over augmented views."""
        rows = [pair.labeled + pair.unlabeled for pair in self.pairs]
        return self._probabilities(networks, rows, torch.Generator(self.device).manual_seed(7))

    @torch.no_grad()
    def _probabilities(
        self, networks: Grouped, rows: Sequence[list[int]], generator: torch.Generator | None = None
    ) -> list[Tensor]:
        padded = self._padded(rows)
        views = 1 if generator is None else VIEWS
        total = torch.zeros(*padded.shape, self.most_classes, device=self.device)
        for _ in range(views):
            for begin in range(0, padded.shape[1], 3 * BATCH):
                part = padded[:, begin : begin + 3 * BATCH]
                images = self.images[part.flatten()][:, None]
                seen = images if generator is None else augmented(images, generator)
                logits = networks(seen.view(*part.shape, *seen.shape[1:]), training=False) + self._hidden(self.pairs)
                total[:, begin : begin + 3 * BATCH] += logits.softmax(2) / views
        return [each[: len(own)].cpu() for each, own in zip(total, rows)]

    def _hidden(self, pairs: Sequence[Pair]) -> Tensor:
        """What is added to logits, so that classes that a set does not have get no probability."""
        hidden = torch.zeros(len(pairs), 1, self.most_classes, device=self.device)
        for row, pair in zip(hidden, pairs):
            row[:, pair.classes :] = -1e9
        return hidden

    def _padded(self, lists: Sequence[list[int]], value: int = 0) -> Tensor:
        tensors = [torch.tensor(each) for each in lists]
        return torch.nn.utils.rnn.pad_sequence(tensors, True, value).to(self.device)

    def _student(self) -> Any:
        return create_model("tf_efficientnet_lite0_050", in_chans=1, num_classes=self.most_classes)


def augmented(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images ``(M, 1, H, W)`` after the random transforms of the bundles' ``train.yaml``, at 96 px."""
    count, side = len(images), images.shape[-1]

    def uniform(low: float, high: float, probability: float, otherwise: float) -> Tensor:
        drawn = torch.rand(2, count, generator=generator, device=images.device)
        return torch.where(drawn[0] < probability, low + (high - low) * drawn[1], otherwise)

    moved = uniform(0, 0, 0.8, 1) == 0
    flip = uniform(-1, -1, 0.5, 1)
    angle = uniform(-0.175, 0.175, 1, 0) * moved
    scales = [1 + uniform(-0.1, 0.1, 1, 0) * moved for _ in range(2)]
    shifts = [uniform(-4, 4, 1, 0) * moved * 2 / side for _ in range(2)]
    cosine, sine = angle.cos(), angle.sin()
    first = torch.stack([cosine * scales[0] * flip, -sine * scales[1], shifts[0]], 1)
    second = torch.stack([sine * scales[0] * flip, cosine * scales[1], shifts[1]], 1)
    grid = F.affine_grid(torch.stack([first, second], 1), list(images.shape), align_corners=False)
    images = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    gamma = uniform(0.7, 1.5, 0.5, 1)[:, None, None, None]
    low = images.amin((2, 3), keepdim=True)
    span = images.amax((2, 3), keepdim=True) - low
    images = ((images - low) / (span + 1e-7)).clamp_min(1e-8) ** gamma * span + low
    noise = torch.randn(images.shape, generator=generator, device=images.device)
    return images + uniform(0, 0.1, 0.3, 0)[:, None, None, None] * noise


class Reader:
    """Reads the images of one set; each becomes a row of ``images``.

    Args:
        source: the set.
        images: of the sets before it, ``(H, W)`` each; it grows.
    """

    def __init__(self, source: Source, images: list[np.ndarray]) -> None:
        self.source = source
        self.images = images
        self.transform, self.classes = _preprocessing(source)
        self._rows: dict[str, int] = {}

    def row(self, path: Path) -> int:
        """The row of an image."""
        key = str(path.resolve())
        if key not in self._rows:
            self._rows[key] = len(self.images)
            self.images.append(np.asarray(self.transform({"image": key})["image"]).reshape(SIZE, SIZE))
        return self._rows[key]

    def split(self, path: Path, name: str, **options: Any) -> dict[int, int]:
        """Rows and classes of a split."""
        items = load_split(path, self.classes, name, **options)
        return {self.row(Path(item["image"])): int(item["label"]) for item in items}

    def pair(self, fold: int, seed: int) -> Pair:
        """The images of one fold and seed."""
        source = self.source
        choice = {"folds": 2, "fold": fold, "seed": seed}
        labeled = self.split(source.train, "training", train_fraction=source.fraction, **choice)
        others = self.split(source.train, "training", **choice)
        others = {row: label for row, label in others.items() if row not in labeled}
        validation = self.split(source.train, "validation", **choice)
        tests = self.split(source.test, "all")
        pool = [] if source.pool is None else [self.row(path) for path in sorted(source.pool.glob("*.jpg"))[:1000]]
        return Pair(
            source=source.name,
            fold=fold,
            seed=seed,
            classes=len(self.classes),
            labeled=list(labeled),
            labels=list(labeled.values()),
            unlabeled=[*others, *pool],
            truth=list(others.values()),
            validation=list(validation),
            validation_labels=list(validation.values()),
            test=list(tests),
            test_labels=list(tests.values()),
        )


def read_pairs(sources: Sequence[Source], seeds: int) -> tuple[Tensor, list[Pair]]:
    """All images, ``(N, H, W)`` in [-1, 1], and the pairs: two folds and ``seeds`` seeds of each set."""
    images: list[np.ndarray] = []
    readers = [Reader(source, images) for source in sources]
    pairs = [reader.pair(fold, seed) for reader in readers for seed in range(seeds) for fold in range(2)]
    return torch.from_numpy(np.stack(images)).float(), pairs


def _sources(data: Path, few: Path) -> list[Source]:
    dermoscopy = _gray_dermoscopy(data / "dermoscopy", few / "dermoscopy")
    return [
        Source("brain_mri", few / "brain_mri/train.csv", few / "brain_mri/test.csv", 0.1, "brain_mri_classification"),
        Source("chest_xray", few / "chest_xray/train.csv", few / "chest_xray/test.csv", 0.25,
               "chest_xray_classification"),
        Source(
            "lung_ct", data / "lung_ct/train", data / "lung_ct/val", 0.25, "lung_ct_classification",
            {"picture_range": [0, 255]}, data / "ct_pool",
        ),
        Source(
            "dermoscopy", dermoscopy / "train.csv", dermoscopy / "test.csv", 0.1, "chest_xray_classification",
            {"keep_aspect": True},
        ),
    ]  # fmt: skip


def _gray_dermoscopy(source: Path, out: Path, most: int = 4500) -> Path:
    """Gray copies of images of whole lesions, a third of the lesions held out: ``train.csv`` and ``test.csv``."""
    table = pd.read_csv(source / "datalist.csv")
    lesions = sorted(table["patient"].unique())
    np.random.default_rng(0).shuffle(lesions)
    sizes = table.groupby("patient").size().loc[lesions].cumsum()
    table = table[table["patient"].isin(sizes.index[sizes <= most])].reset_index(drop=True)
    (out / "images").mkdir(parents=True, exist_ok=True)
    for name in table["image"]:
        copy = out / "images" / f"{Path(name).stem}.png"
        if not copy.is_file():
            Image.open(source / name).convert("L").save(copy)
    splits = StratifiedGroupKFold(3, shuffle=True, random_state=0)
    parts = next(iter(splits.split(table, table["label"], table["patient"])))
    for name, part in zip(("train", "test"), parts):
        with (out / f"{name}.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["image", "label", "patient"])
            for row in table.iloc[part].itertuples():
                writer.writerow([f"images/{Path(row.image).stem}.png", row.label, row.patient])
    return out


def _preprocessing(source: Source) -> tuple[Compose, Any]:
    """The deterministic transforms of a bundle, with intensities from -1 to 1, and the names of the classes."""
    configs = BUNDLES / source.bundle / "configs"
    parser = ConfigParser()
    parser.read_config(str(configs / "train.yaml"))
    parser.read_meta(str(configs / "metadata.json"))
    parser.update({"image_size": SIZE, "intensity_mean": 0.5, "intensity_std": 0.5, **source.overrides})
    classes = parser.get_parsed_content("class_names")
    if source.name == "dermoscopy":
        classes = sorted(pd.read_csv(source.train)["label"].unique())
    return Compose(parser.get_parsed_content("study_transforms")), classes


def _draw(pair: Pair, steps: int, random: np.random.Generator, with_soft_labels: bool) -> np.ndarray:
    """Places ``(steps, B)`` of the images of each batch: permutations of the labeled images, and any others."""
    count = len(pair.labeled)
    passes = math.ceil(steps * BATCH / count)
    drawn = np.concatenate([random.permutation(count) for _ in range(passes)])[: steps * BATCH].reshape(steps, BATCH)
    if with_soft_labels:
        of_all = random.integers(count + len(pair.unlabeled), size=drawn.shape)
        drawn = np.where(random.random(drawn.shape) < LABELED_SHARE, drawn, of_all)
    return drawn


def _task_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy ``(R,)``, the mean over the images that have labels."""
    losses = F.cross_entropy(logits.flatten(0, 1), labels.flatten(), ignore_index=NO_LABEL, reduction="none")
    return losses.view(labels.shape).sum(1) / (labels != NO_LABEL).sum(1).clamp_min(1)


def _soft_loss(logits: Tensor, soft_labels: Tensor) -> Tensor:
    """``(R,)``, that of ``SelfDistillationLoss.from_soft_labels``."""
    peers = soft_labels.clamp_min(torch.finfo(torch.float32).tiny).log()
    return torch.stack([softened_kl(own, peer, TEMPERATURE) for own, peer in zip(logits, peers)])


def _matched(opinions: Tensor, pair: Pair) -> Tensor:
    """Soft labels: those of unlabeled images are corrected to the shares of the classes among the labeled ones."""
    count = len(pair.labeled)
    prior = torch.bincount(torch.tensor(pair.labels), minlength=opinions.shape[1]) / count
    return torch.cat([opinions[:count], with_prior(opinions[count:], prior)])


def _ramp(epoch: float) -> float:
    return math.exp(-5 * (1 - epoch) ** 2) if epoch < 1 else 1.0


def _schedule(epoch: int, epochs: int) -> float:
    """Of ``WarmupCosine`` with one epoch of warm-up."""
    return 0.1 if epoch == 0 else 0.5 * (1 + math.cos(math.pi * (epoch - 1) / (epochs - 1)))


def _balanced(probabilities: Tensor, labels: Sequence[int]) -> float:
    return float(balanced_accuracy_score(labels, probabilities.argmax(1)))


if __name__ == "__main__":
    fire.Fire(side_by_side)
