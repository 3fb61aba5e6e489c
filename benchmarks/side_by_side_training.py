"""Training of ``side_by_side.py``: networks of one architecture, each with the images of its pair.

Augmentation, schedule, optimizer and losses are those of the bundles, written again for stacks of networks
(``grouped.py``). The gray values of CT slices, pictures of 8 bits here, are changed too, as in the bundle for lung CT
until 2026-11-28.
"""

from __future__ import annotations

import copy
import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from grouped import Alone, Grouped, GroupedAdamW
from narrow_efficientnet import create_model
from side_by_side_images import Pair
from side_by_side_recovery import refitted
from side_by_side_rivals import MovingAverage, fixmatch_loss, strengthened, truncated, view_loss
from timm.models.efficientnet import EfficientNet
from torch import Tensor
from tqdm import tqdm

from dwskd_monai.training import create_teacher, initialize_students
from dwskd_monai.training.losses.softened_kl import softened_kl
from dwskd_monai.training.soft_labels import with_prior
from dwskd_monai.weight_selection import PairReport, SelectionReport

BATCH = 16
LEARNING_RATE = 0.002
TEMPERATURE = 2.0
LABELED_SHARE = 0.5
VIEWS = 4
SMALL = ("main", "auxiliary", "twin", "third", "fourth", "truncated")
STARTS = (*SMALL, "wide", "teacher")
REFIT_IMAGES = 1024
NO_LABEL = -100


@dataclass(frozen=True)
class Training:
    """One training of a network for each pair.

    Args:
        start: its first weights, one of ``STARTS``.
        length: its steps, as a multiple of ``--steps``.
        labelers: trainings whose networks label all images for it.
        vote: each labeler gives its class, and not its probabilities.
        matched: soft labels are corrected to the shares of the classes among the labeled images.
        share: of the images without labels that the student learns from; labelers always label all.
        strong: the student sees strong views.
        falling: the weight of soft labels falls to 0 in the last fifth.
        rival: another way to learn from images without labels: ``fixmatch`` or ``mean_teacher``.
        before: what the student learns first, without labels: to do what the teacher does at the selected channels
            (``teacher_states``), to give two views of an image the same features (``own_views``), or, in no steps, to
            fit its weights to what the teacher's convolutions give (``refit``).
        before_length: its steps, as a multiple of ``--steps``.
        part: of a longer training, whose schedule has fewer epochs.
        learning_rate: the highest.
        tuned: training of the large network whose weights its first weights are selected from, in place of those that
            know nothing of the task.
    """

    start: str
    length: float = 1.0
    labelers: tuple[str, ...] = ()
    vote: bool = False
    matched: bool = True
    share: float = 1.0
    strong: bool = False
    falling: bool = False
    rival: str = ""
    before: str = ""
    before_length: float = 0.0
    part: bool = True
    learning_rate: float = LEARNING_RATE
    tuned: str = ""

    @property
    def needs(self) -> tuple[str, ...]:
        """The trainings that come before it."""
        return (*self.labelers, self.tuned) if self.tuned else self.labelers

    @property
    def epochs(self) -> int:
        """Of its schedule."""
        return 10 if self.part else 20


@dataclass(frozen=True)
class Kept:
    """What is kept of networks beside their predictions: what they make of all images, and their state dicts."""

    opinions: bool
    states: bool


@dataclass(frozen=True)
class Made:
    """What a training makes, for each pair.

    Args:
        predictions: probabilities of the validation images, and after them of the test images, ``(N, K)``.
        opinions: of the labeled and after them the unlabeled images, or nothing.
        states: the networks' state dicts, or nothing.
    """

    predictions: list[Tensor]
    opinions: list[Tensor]
    states: list[dict[str, Tensor]]


class SideBySide:
    """Trains networks of one architecture, each with the images of its pair.

    Args:
        images: of all sets, ``(N, H, W)`` of 8 bits, on the device.
        pairs: what is trained.
        teacher_weights: file of EfficientNet-Lite2.
        at_once: most networks that train as one.
    """

    def __init__(self, images: Tensor, pairs: Sequence[Pair], teacher_weights: str, at_once: int = 48) -> None:
        self.images = images
        self.pairs = list(pairs)
        self.device = images.device
        self.at_once = at_once
        self.most_classes = max(pair.classes for pair in pairs)
        self.starts, self.channels = self._starts(create_teacher("tf_efficientnet_lite2", teacher_weights, in_chans=1))

    def run(
        self, training: Training, steps: int, seed: int, soft_labels: Sequence[Tensor] | None,
        tuned: Sequence[dict[str, Tensor]] | None, keep: Kept,
    ) -> Made:  # fmt: skip
        """Train a network for each pair.

        Args:
            training: how.
            steps: that its lengths are multiples of.
            seed: of new classifiers, batches and augmentation.
            soft_labels: of labeled and unlabeled images of each pair, ``(N, K)``.
            tuned: state dict of the large network of each pair that first weights are selected from, instead of the
                teacher's.
            keep: what is kept beside predictions.
        """
        made = Made([], [], [])
        start = training.start
        at_once = self.at_once if start in SMALL else max(self.at_once // 4, 1)
        before = {"teacher_states": self.recover, "own_views": self.learn_views}.get(training.before)
        for begin in range(0, len(self.pairs), at_once):
            pairs = self.pairs[begin : begin + at_once]
            of_them = None if soft_labels is None else soft_labels[begin : begin + at_once]
            first = [self.first_weights(pair, start, seed) for pair in pairs]
            if tuned is not None:
                of_large = tuned[begin : begin + at_once]
                first = [self.selected_weights(state, large) for state, large in zip(first, of_large, strict=True)]
            if training.before == "refit":
                first = [self.refitted_weights(pair, start, state) for pair, state in zip(pairs, first)]
            networks = self.networks(start, first)
            if before is not None:
                before(networks, pairs, start, int(training.before_length * steps), seed)
            self.train(networks, pairs, training, int(training.length * steps), 1000 * seed + begin, of_them)
            made.predictions.extend(
                self.probabilities(networks, pairs, [pair.validation + pair.test for pair in pairs])
            )
            if keep.opinions:
                rows = [pair.labeled + pair.unlabeled for pair in pairs]
                generator = torch.Generator(self.device).manual_seed(seed)
                made.opinions.extend(self.probabilities(networks, pairs, rows, generator))
            if keep.states:
                made.states.extend(
                    {name: value.cpu() for name, value in networks.state(index).items()} for index in range(len(pairs))
                )
        return made

    def networks(self, start: str, states: Sequence[dict[str, Tensor]]) -> Grouped:
        """Networks of a start's architecture with these weights."""
        kind = Alone if len(states) == 1 else Grouped
        return kind(self.starts[start], states, self.device)

    def first_weights(self, pair: Pair, start: str, seed: int) -> dict[str, Tensor]:
        """Weights of a start, and a new classifier as timm initializes it."""
        place = f"{pair.source} {pair.fold} {pair.seed} {seed}"
        generator = torch.Generator().manual_seed(zlib.crc32(place.encode()))
        state = dict(self.starts[start].state_dict())
        width = state["classifier.weight"].shape[1]
        new = torch.zeros(self.most_classes, width)
        new[: pair.classes] = (torch.rand(pair.classes, width, generator=generator) * 2 - 1) / math.sqrt(pair.classes)
        return state | {"classifier.weight": new, "classifier.bias": torch.zeros(self.most_classes)}

    def selected_weights(self, state: dict[str, Tensor], large: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of main that are selected from a large network's, with the classifier of ``state``."""
        teacher, main, other = (copy.deepcopy(self.starts[name]) for name in ("teacher", "main", "auxiliary"))
        teacher.load_state_dict(teacher.state_dict() | large)  # which has no counters of batches
        initialize_students(main, other, teacher)
        own = {name: value for name, value in state.items() if name.startswith("classifier.")}
        return dict(main.state_dict()) | own

    def refitted_weights(self, pair: Pair, start: str, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Weights of a start that fit each other again, by the images of a pair without their labels."""
        student = copy.deepcopy(self.starts[start])
        student.load_state_dict(state)
        rows = torch.tensor(pair.labeled + pair.unlabeled)
        order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(pair.seed))[:REFIT_IMAGES]
        images = self.seen(rows[order].to(self.device)).cpu()
        return dict(refitted(student, self.starts["teacher"].eval(), self.channels[start], images).state_dict())

    def train(
        self,
        networks: Grouped,
        pairs: Sequence[Pair],
        training: Training,
        steps: int,
        seed: int,
        soft_labels: Sequence[Tensor] | None = None,
    ) -> None:
        """Train for ``steps`` steps, from labels and, if given, soft labels of labeled and unlabeled images."""
        optimizer = GroupedAdamW(networks)
        random = np.random.default_rng(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        drawn = [_draw(pair, steps, random, training.share if soft_labels is not None else None) for pair in pairs]
        places = torch.from_numpy(np.stack(drawn)).to(self.device)  # (R, steps, B), among labeled and unlabeled images
        rows = self._padded([pair.labeled + pair.unlabeled for pair in pairs])
        labels = self._padded([pair.labels + [NO_LABEL] * len(pair.unlabeled) for pair in pairs], NO_LABEL)
        hidden = self._hidden(pairs)
        table = (
            None if soft_labels is None else torch.nn.utils.rnn.pad_sequence(list(soft_labels), True).to(self.device)
        )
        own = torch.arange(len(pairs), device=self.device)[:, None]
        average = MovingAverage(networks) if training.rival == "mean_teacher" else None
        for step in range(steps):
            place = places[:, step]
            views = augmented(self.seen(rows[own, place]), generator)
            if training.strong:
                views = strengthened(views, generator)
            views = stacked(views, place)
            weight = _weight(training, step / steps)
            if training.rival == "fixmatch":
                weak, strong = self._two_views(pairs, random, generator)
                logits = networks(torch.cat([views, weak, strengthened_stack(strong, generator)], 1), training=True)
                of_labeled, of_weak, of_strong = (logits + hidden).split(BATCH, 1)
                loss = _task_loss(of_labeled, labels[own, place]) + fixmatch_loss(of_weak, of_strong)
            elif average is not None:
                one, other = self._two_views(pairs, random, generator)
                of_labeled, of_one = (networks(torch.cat([views, one], 1), training=True) + hidden).split(BATCH, 1)
                with torch.no_grad():
                    wanted = (average.networks(other, training=False) + hidden).softmax(2)
                loss = _task_loss(of_labeled, labels[own, place]) + weight * _soft_loss(of_one, wanted)
            else:
                logits = networks(views, training=True) + hidden
                loss = _task_loss(logits, labels[own, place])
                if table is not None:
                    loss = loss + weight * _soft_loss(logits, table[own, place])
            loss.sum().backward()
            optimizer.step(training.learning_rate * _schedule(step * training.epochs // steps, training.epochs))
            if average is not None:
                average.follow(networks)
        if average is not None:  # which predicts
            networks.parameters, networks.buffers = average.networks.parameters, average.networks.buffers

    def recover(self, networks: Grouped, pairs: Sequence[Pair], start: str, steps: int, seed: int) -> None:
        """Match what each stage makes of an image to the teacher's, at the channels that were selected.

        Without labels, as a short training before the others (STARFISH, arXiv 2606.01126).
        """
        optimizer = GroupedAdamW(networks)
        teacher = copy.deepcopy(self.starts["teacher"]).eval().to(self.device)
        random = np.random.default_rng(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        for step in tqdm(range(steps), desc="recovery", mininterval=30):
            chosen = self._any_images(pairs, random)
            views = augmented(self.seen(chosen), generator)
            features = networks.features(stacked(views, chosen), training=True)
            loss = torch.zeros((), device=self.device)
            for own, wanted in zip(features, self._selected_features(teacher, views, start)):
                target = stacked(wanted, chosen).transpose(1, 2)
                difference = (own.view(target.shape) - target).square().mean((1, 2, 3, 4))
                loss = loss + (difference / target.square().mean((1, 2, 3, 4))).sum()
            loss.backward()
            optimizer.step(LEARNING_RATE * _schedule(step * 10 // steps, 10))

    def learn_views(self, networks: Grouped, pairs: Sequence[Pair], start: str, steps: int, seed: int) -> None:
        """Learn to give two views of an image the same features, without labels: those of the moving average."""
        width = networks.parameters["classifier.weight"].shape[2]
        predictor = torch.eye(width, device=self.device).repeat(len(networks), 1, 1).requires_grad_()
        optimizer = GroupedAdamW(networks, [predictor])
        average = MovingAverage(networks)
        random = np.random.default_rng(seed)
        generator = torch.Generator(self.device).manual_seed(seed)
        for step in tqdm(range(steps), desc="own views", mininterval=30):
            one, other = self._two_views(pairs, random, generator)
            with torch.no_grad():
                target = average.networks.pooled(other, training=False)
            loss = view_loss(networks.pooled(strengthened_stack(one, generator), training=True), predictor, target)
            loss.sum().backward()
            optimizer.step(LEARNING_RATE * _schedule(step * 10 // steps, 10))
            average.follow(networks)

    def _any_images(self, pairs: Sequence[Pair], random: np.random.Generator) -> Tensor:
        """Rows ``(R, B)`` of images that labeled and unlabeled ones are drawn from."""
        rows = [random.choice(pair.labeled + pair.unlabeled, BATCH) for pair in pairs]
        return torch.tensor(np.stack(rows)).to(self.device)

    def _two_views(
        self, pairs: Sequence[Pair], random: np.random.Generator, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Weak views of the same images, ``(R, B, 1, H, W)`` each."""
        chosen = self._any_images(pairs, random)
        one, other = (augmented(self.seen(chosen), generator) for _ in range(2))
        return stacked(one, chosen), stacked(other, chosen)

    @torch.no_grad()
    def _selected_features(self, teacher: EfficientNet, views: Tensor, start: str) -> list[Tensor]:
        """What the teacher's stages and last convolution make of images: the channels of a start, ``(M, C, h, w)``."""
        x = teacher.bn1(teacher.conv_stem(views))
        features = []
        for stage in teacher.blocks:
            x = stage(x)
            features.append(x)
        features.append(teacher.bn2(teacher.conv_head(x)))
        makers = ["blocks.0.0.conv_pw", *(f"blocks.{stage}.0.conv_pwl" for stage in range(1, 7)), "conv_head"]
        return [feature[:, self.channels[start][maker]] for feature, maker in zip(features, makers)]

    @torch.no_grad()
    def probabilities(
        self, networks: Grouped, pairs: Sequence[Pair], rows: Sequence[list[int]],
        generator: torch.Generator | None = None,
    ) -> list[Tensor]:  # fmt: skip
        """Of each pair's images ``rows``; with a generator, the mean over augmented views."""
        padded = self._padded(rows)
        views = 1 if generator is None else VIEWS
        total = torch.zeros(*padded.shape, self.most_classes, device=self.device)
        for _ in range(views):
            for begin in range(0, padded.shape[1], 3 * BATCH):
                part = padded[:, begin : begin + 3 * BATCH]
                images = self.seen(part)
                seen = images if generator is None else augmented(images, generator)
                logits = networks(stacked(seen, part), training=False) + self._hidden(pairs)
                total[:, begin : begin + 3 * BATCH] += logits.softmax(2) / views
        return [each[: len(own)].cpu() for each, own in zip(total, rows)]

    @torch.no_grad()
    def features(self, networks: Grouped, rows: Sequence[list[int]]) -> list[Tensor]:
        """Of each pair's images ``rows``, what the classifiers get, ``(N, C)``."""
        padded = self._padded(rows)
        parts = [
            networks.pooled(stacked(self.seen(part), part), training=False).cpu() for part in padded.split(3 * BATCH, 1)
        ]
        return [each[: len(own)] for each, own in zip(torch.cat(parts, 1), rows, strict=True)]

    def seen(self, rows: Tensor) -> Tensor:
        """Images ``(M, 1, H, W)`` in [-1, 1]."""
        return self.images[rows.flatten()][:, None] / 127.5 - 1

    def _hidden(self, pairs: Sequence[Pair]) -> Tensor:
        """What is added to logits, so that classes that a set does not have get no probability."""
        hidden = torch.zeros(len(pairs), 1, self.most_classes, device=self.device)
        for row, pair in zip(hidden, pairs):
            row[:, pair.classes :] = -1e9
        return hidden

    def _padded(self, lists: Sequence[list[int]], value: int = 0) -> Tensor:
        tensors = [torch.tensor(each) for each in lists]
        return torch.nn.utils.rnn.pad_sequence(tensors, True, value).to(self.device)

    def _starts(self, teacher: EfficientNet) -> tuple[dict[str, EfficientNet], dict[str, dict[str, list[int]]]]:
        """A network for each of ``STARTS``; and the channels that a pair took of what each convolution makes.

        Students are from complementary subsets of the teacher; third and fourth lie between main and auxiliary.
        """
        half, wide = "tf_efficientnet_lite0_050", "tf_efficientnet_lite0_075"
        names = {"main": half, "auxiliary": half, "third": half, "fourth": half, "wide": wide}
        starts = {start: create_model(name, in_chans=1, num_classes=self.most_classes) for start, name in names.items()}
        report = initialize_students(starts["main"], starts["auxiliary"], teacher)
        initialize_students(starts["third"], starts["fourth"], teacher, offset=0.5)
        initialize_students(starts["wide"], None, teacher)
        assert isinstance(report, PairReport)
        channels = {"main": _channels(report.main), "auxiliary": _channels(report.auxiliary)}
        others = {"twin": starts["main"], "truncated": truncated(starts["main"], teacher)}
        teacher = copy.deepcopy(teacher)
        teacher.reset_classifier(self.most_classes)
        return starts | others | {"teacher": teacher}, channels


def _channels(report: SelectionReport) -> dict[str, list[int]]:
    """For each convolution, the teacher's outputs that the student took."""
    channels = {}
    for tensor in report.tensors:
        if len(tensor.shape) == 4:
            assert tensor.source_shape is not None, "all convolutions are selected"
            taken = tensor.positions[0]
            indices = range(tensor.source_shape[0]) if taken is None else taken.tolist()
            channels[tensor.name.removesuffix(".weight")] = list(indices)
    return channels


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


def stacked(images: Tensor, rows: Tensor) -> Tensor:
    """``(R · B, …)`` as ``(R, B, …)``, for rows ``(R, B)``."""
    return images.view(*rows.shape, *images.shape[1:])


def strengthened_stack(views: Tensor, generator: torch.Generator) -> Tensor:
    """Strong views ``(R, B, 1, H, W)`` of weak ones."""
    return strengthened(views.flatten(0, 1), generator).view(views.shape)


def _draw(pair: Pair, steps: int, random: np.random.Generator, share: float | None) -> np.ndarray:
    """Places ``(steps, B)`` of the images of each batch: permutations of the labeled images, and, if images have soft
    labels, any of them and of a share of the others."""
    count = len(pair.labeled)
    passes = math.ceil(steps * BATCH / count)
    drawn = np.concatenate([random.permutation(count) for _ in range(passes)])[: steps * BATCH].reshape(steps, BATCH)
    if share is not None:
        order = np.random.default_rng(pair.seed).permutation(
            len(pair.unlabeled)
        )  # smaller shares are parts of larger ones
        usable = np.concatenate([np.arange(count), count + np.sort(order[: round(share * len(order))])])
        of_all = usable[random.integers(len(usable), size=drawn.shape)]
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


def with_class_shares(opinions: Tensor, pair: Pair) -> Tensor:
    """Soft labels: those of unlabeled images are corrected to the shares of the classes among the labeled ones."""
    count = len(pair.labeled)
    prior = torch.bincount(torch.tensor(pair.labels), minlength=opinions.shape[1]) / count
    return torch.cat([opinions[:count], with_prior(opinions[count:], prior)])


def _weight(training: Training, progress: float) -> float:
    """Of soft labels, after a share of the training."""
    weight = _ramp(progress * training.epochs)
    return weight * min(1.0, 5 * (1 - progress)) if training.falling else weight


def _ramp(epoch: float) -> float:
    return math.exp(-5 * (1 - epoch) ** 2) if epoch < 1 else 1.0


def _schedule(epoch: int, epochs: int) -> float:
    """Of ``WarmupCosine`` with one epoch of warm-up."""
    return 0.1 if epoch == 0 else 0.5 * (1 + math.cos(math.pi * (epoch - 1) / (epochs - 1)))
