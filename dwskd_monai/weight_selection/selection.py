"""Copy a subset of a teacher's weights into a student, or complementary subsets into two."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from tqdm import tqdm

from dwskd_monai.weight_selection import adaptation
from dwskd_monai.weight_selection.importance import element_scores
from dwskd_monai.weight_selection.labels import Numbers
from dwskd_monai.weight_selection.layers import LayerMap, LayerSelection
from dwskd_monai.weight_selection.matching import Matching, Taken, positions
from dwskd_monai.weight_selection.networks import family_of, image_shape, in_classifier
from dwskd_monai.weight_selection.report import PairReport, SelectionReport, TensorSelection
from dwskd_monai.weight_selection.rules import ELEMENT_RULES, Choice
from dwskd_monai.weight_selection.tracing import Coupling, trace
from dwskd_monai.weight_selection.weights import FileWeights, NetworkWeights, Weights


@dataclass(frozen=True)
class Rules:
    """How a subset is chosen.

    Args:
        layers: ``first``, ``uniform``, or for each stage by its name the teacher's blocks (counted from 0) in the order
            of the student's; stages that are not named take their first blocks.
        elements: ``uniform``, ``consecutive``, ``random`` or ``importance`` (largest norm over all weights of the
            coupled dimension).
        offset: shift of ``uniform`` as a fraction of its spacing, of ``consecutive`` as one of the way to the end, in
            [0, 1).
        seed: of ``random``.
        rescale: multiply the weights of linear layers and convolutions that lost inputs by the square root of the
            teacher's number of inputs over the student's, which keeps the variance of their outputs where inputs are
            independent.

    Raises:
        ValueError: if a rule is unknown or ``offset`` is outside [0, 1).
    """

    layers: str | LayerMap = "first"
    elements: str = "uniform"
    offset: float = 0.0
    seed: int = 0
    rescale: bool = False

    def __post_init__(self) -> None:
        if self.elements not in ELEMENT_RULES:
            raise ValueError(f"elements must be one of {', '.join(ELEMENT_RULES)}, got {self.elements!r}")
        if not 0 <= self.offset < 1:
            raise ValueError(f"offset is a fraction of the spacing between elements, in [0, 1), got {self.offset}")


@dataclass(frozen=True)
class Teacher:
    """The large network and where its weights are.

    Args:
        network: the network; with ``weights`` it may be on the meta device, where it takes no memory.
        weights: a ``.safetensors`` or ``.pt`` file with its state dict, of which only what is needed is read; None for
            the network's own.
    """

    network: nn.Module
    weights: str | Path | None = None

    def open(self) -> Weights:
        """The tensors."""
        return NetworkWeights(self.network) if self.weights is None else FileWeights(self.weights)


def select_weights(
    teacher: nn.Module | Teacher,
    student: nn.Module,
    rules: Rules = Rules(),
    *,
    avoid: Taken | None = None,
    input_shape: Sequence[int] | None = None,
    progress: bool = False,
) -> SelectionReport:
    """Initialise ``student`` from a subset of a teacher's weights (Xu et al., arXiv 2311.18823).

    One index set per coupled dimension is used wherever that dimension occurs; what is coupled is found by following
    both networks (:mod:`~dwskd_monai.weight_selection.tracing`). Attention heads are taken whole, with the same heads
    of q, k, v and the output projection; so are the groups of grouped convolutions where the student has fewer of them.
    Tables of positions are resampled to the student's grid and the input convolution is adapted to its channels with
    timm's own functions; the classifier keeps its new initialisation. The student is changed only after everything was
    found to fit.

    Args:
        teacher: the large network; it is not changed.
        student: a network of the same class, at most as wide and as deep; changed in place, on its device and in its
            dtype.
        rules: which blocks and elements are taken.
        avoid: elements to take only where no others are left (the other student's).
        input_shape: ``(channels, height, width)`` or ``(channels, *space)`` of an image that both networks take; found
            for those of timm and MONAI.
        progress: show a progress bar.

    Returns:
        What was taken from where.

    Raises:
        FileNotFoundError: if the teacher's file does not exist.
        ValueError: if the networks are of different families, the student is wider or deeper than the teacher, or a
            tensor does not fit; the message has its name and both shapes.
    """
    teacher = teacher if isinstance(teacher, Teacher) else Teacher(teacher)
    family = family_of(teacher.network, student)
    layers = LayerSelection(teacher.network, student, rules.layers)
    ours = trace(student, input_shape or image_shape(student))
    theirs = trace(teacher.network, input_shape or image_shape(teacher.network))
    weights = teacher.open()
    state = student.state_dict()
    new = {name: "new" for name in state if in_classifier(name, student) or name in ours.classifier}
    sources = {name: layers.teacher_name(name) for name in state if name not in new}
    theirs_state = teacher.network.state_dict()
    for name in ours.unused & sources.keys():
        other = sources[name]
        if other in theirs.unused and theirs_state[other].shape != state[name].shape:
            new[name] = "unused"
            del sources[name]
    _check_counterparts(sources, state, teacher, theirs, weights)
    scores = element_scores(theirs, weights, sources.values()) if rules.elements == "importance" else np.zeros(0)

    def choice(name: str, size: int, count: int, found: NDArray[np.float64]) -> Choice:
        return Choice(name, size, count, found, rules.offset, rules.seed)

    matching = Matching(theirs, ours, sources, ELEMENT_RULES[rules.elements], choice, scores, avoid)
    fitting = _Fitting(teacher.network, student, ours, theirs, matching, weights)
    tensors = [fitting.fit(name, source, tuple(state[name].shape)) for name, source in sources.items()]
    with torch.no_grad():
        for tensor in tqdm(tensors, desc="selecting weights", unit="tensor", disable=not progress, leave=False):
            factor = _fan_in_factor(tensor, ours) if rules.rescale else 1.0
            value = fitting.read(tensor)
            state[tensor.name].copy_(value if factor == 1 else value * factor)
    new_tensors = {
        name: TensorSelection(name, None, tuple(state[name].shape), None, (why,)) for name, why in new.items()
    }
    found = {tensor.name: tensor for tensor in tensors} | new_tensors
    size = sum(
        tensor.numel()
        for name, tensor in theirs_state.items()
        if not (in_classifier(name, teacher.network) or name in theirs.classifier)
    )
    return SelectionReport(
        family, rules, tuple(found[name] for name in state), matching.dimensions, layers.blocks, size, matching.taken
    )


def select_pair(
    teacher: nn.Module | Teacher,
    main: nn.Module,
    auxiliary: nn.Module,
    rules: Rules = Rules(),
    *,
    complementary: bool = True,
    input_shape: Sequence[int] | None = None,
    progress: bool = False,
) -> PairReport:
    """Initialise two students of one architecture from complementary subsets of the teacher.

    The auxiliary takes, in every coupled dimension, elements that main left; where the teacher is at least twice as
    wide as the student they share none (Tsutsumi et al., arXiv 2508.20461).

    Args:
        teacher: the large network; it is not changed.
        main: the student that is deployed; changed in place.
        auxiliary: the student that main learns with; changed in place.
        rules: which blocks and elements are taken.
        complementary: False gives both students the same subset (an ablation).
        input_shape: see :func:`select_weights`.
        progress: show progress bars.

    Returns:
        Both reports, with coverage and overlap.

    Raises:
        FileNotFoundError, ValueError: as :func:`select_weights`.
    """
    first = select_weights(teacher, main, rules, input_shape=input_shape, progress=progress)
    avoid = first.taken if complementary else None
    second = select_weights(teacher, auxiliary, rules, avoid=avoid, input_shape=input_shape, progress=progress)
    return PairReport(first, second)


def _check_counterparts(
    sources: dict[str, str], state: dict[str, Tensor], teacher: Teacher, theirs: Coupling, weights: Weights
) -> None:
    there = set(weights.names())
    for name, source in sources.items():
        if source not in theirs.axes:
            raise ValueError(
                f"{name}: the student's tensor of shape {tuple(state[name].shape)} has no counterpart {source!r} in "
                f"the teacher ({type(teacher.network).__name__})"
            )
        if source not in there:
            others = ", ".join(sorted(there - theirs.axes.keys())[:3])
            raise ValueError(
                f"{teacher.weights}: missing {source}, which a {type(teacher.network).__name__} has; is it another "
                f"network's? Of the file's {len(there)} tensors, these are unknown: {others or 'none'}"
            )


def _fan_in_factor(tensor: TensorSelection, student: Coupling) -> float:
    """What keeps the variance of a layer's outputs when it loses inputs."""
    if tensor.name not in student.layers or len(tensor.taken) < 2 or tensor.taken[1] is None:
        return 1.0
    assert tensor.source_shape is not None
    return float(np.sqrt(tensor.source_shape[1] / tensor.shape[1]))


class _Fitting:
    """Finds where in the teacher's tensors the student's are, and reads them."""

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        ours: Coupling,
        theirs: Coupling,
        matching: Matching,
        weights: Weights,
    ) -> None:
        self._teacher, self._student = teacher, student
        self._ours, self._theirs, self._matching, self._weights = ours, theirs, matching, weights
        self._known: dict[tuple[bytes, int], Numbers | None] = {}

    def fit(self, name: str, source: str, shape: tuple[int, ...]) -> TensorSelection:
        """Where the student's tensor ``name`` is taken from; nothing is read but a shape."""
        found = tuple(self._weights[source].shape)
        rules: list[str] = []
        taken: list[Numbers | None] = [None] * len(found)
        if len(found) != len(shape):
            adaptation.reshaped(name, torch.empty(found, device="meta"), shape)
            rules.append("reshaped")
        for axis in range(min(len(found), len(shape))):
            theirs, ours = self._theirs.axes[source][axis], self._matching.along(name, axis)
            if (ours < 0).any():
                if found[axis] != shape[axis]:
                    rules.append(self._adapt(name, axis, found, shape))
            elif theirs.shape[-1] != found[axis]:
                raise ValueError(
                    f"{source}: {found} in the teacher's weights, but the network {type(self._teacher).__name__} has "
                    f"{theirs.shape[-1]} elements along axis {axis}; is the file another network's?"
                )
            else:
                try:
                    taken[axis] = self._along(ours, theirs, taken[0])
                except LookupError as error:
                    raise ValueError(f"{adaptation.misfit(name, found, shape)} along axis {axis}: {error}") from error
        rules.append("copied" if all(part is None for part in taken) else "selected")
        return TensorSelection(name, source, shape, found, tuple(rules), tuple(taken))

    def _adapt(self, name: str, axis: int, found: tuple[int, ...], shape: tuple[int, ...]) -> str:
        """What will be done about an axis of another length that is nobody's channels."""
        if axis == 1 and name in self._ours.image_weights:
            adaptation.adapted_input(name, torch.empty(found), shape[1])
            return "adapted"
        probe = adaptation.resampled_positions(name, torch.empty(found), shape, self._teacher, self._student)
        if probe is None or probe.shape[axis] != shape[axis]:
            raise ValueError(
                f"{adaptation.misfit(name, found, shape)}: axis {axis} is no channel dimension, so it must have one "
                "length in both"
            )
        return "resampled"

    def _along(self, ours: Numbers, theirs: Numbers, rows: Numbers | None) -> Numbers | None:
        """Positions along the teacher's axis; None for all of it."""
        if ours.ndim > 1:
            return self._along_groups(ours, theirs, rows)
        key = ours.tobytes(), id(theirs)
        if key not in self._known:
            found = positions(ours, theirs)
            whole = len(found) == len(theirs) and np.array_equal(found, np.arange(len(theirs)))
            self._known[key] = None if whole else found
        return self._known[key]

    def _along_groups(self, ours: Numbers, theirs: Numbers, rows: Numbers | None) -> Numbers | None:
        """Inputs of a grouped convolution, for each output ``(outputs, inputs per group)``."""
        if theirs.ndim == 1:  # the teacher has no groups
            theirs = np.broadcast_to(theirs, (len(ours), len(theirs)))
        elif rows is not None:
            theirs = theirs[rows]
        found = np.stack([positions(mine, other) for mine, other in zip(ours, theirs, strict=True)])
        whole = found.shape[1] == theirs.shape[1] and (found == np.arange(found.shape[1])).all()
        return None if whole else found

    def read(self, tensor: TensorSelection) -> Tensor:
        """The part of the teacher's tensor that the student takes, in the student's shape."""
        assert tensor.source is not None
        value = _take(self._weights[tensor.source], tensor.taken)
        value = adaptation.reshaped(tensor.name, value, tensor.shape)
        if "adapted" in tensor.rules:
            value = adaptation.adapted_input(tensor.name, value, tensor.shape[1])
        if "resampled" in tensor.rules:
            found = adaptation.resampled_positions(tensor.name, value, tensor.shape, self._teacher, self._student)
            assert found is not None
            value = found
        return value


def _take(source: Tensor, taken: Sequence[Numbers | None]) -> Tensor:
    """The selected positions along each axis; evenly spaced ones are a view and copied only once, by the caller."""
    value, uneven = source, []
    for axis, part in enumerate(taken):
        if part is None:
            continue
        even = _as_slice(part)
        if even is None:
            uneven.append((axis, part))
        else:
            value = value[(slice(None),) * axis + (even,)]
    for axis, part in uneven:
        index = torch.from_numpy(part).to(value.device)
        if part.ndim == 1:
            value = value.index_select(axis, index)
        else:  # other inputs for each output
            index = index.reshape(*part.shape, *(1 for _ in value.shape[2:])).expand(-1, -1, *value.shape[2:])
            value = value.gather(1, index)
    return value


def _as_slice(part: Numbers) -> slice | None:
    if part.ndim > 1:
        return None
    if len(part) == 1:
        return slice(int(part[0]), int(part[0]) + 1)
    step = int(part[1] - part[0])
    if step <= 0 or (np.diff(part) != step).any():
        return None
    return slice(int(part[0]), int(part[-1]) + 1, step)
