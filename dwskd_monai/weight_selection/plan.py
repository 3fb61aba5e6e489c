"""Plans a weight selection: what is taken from where, and whether it fits, before anything is changed."""

from __future__ import annotations

from collections.abc import Hashable, Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dwskd_monai.weight_selection import adaptation
from dwskd_monai.weight_selection.coupling import Coupling, Numbers, trace
from dwskd_monai.weight_selection.importance import element_scores
from dwskd_monai.weight_selection.layers import LayerSelection
from dwskd_monai.weight_selection.matching import Matching, Taken, positions
from dwskd_monai.weight_selection.networks import family_of, image_shape, in_classifier
from dwskd_monai.weight_selection.report import SelectionReport, TensorSelection
from dwskd_monai.weight_selection.rules import ELEMENT_RULES, Choice, Rules
from dwskd_monai.weight_selection.weights import Teacher, Weights

# Following two networks takes longer than copying a small one's weights, and the two students of a pair, or the cells
# of a comparison, ask for the same plan again. A plan holds indices, no weights.
_KEPT = 32
_plans: dict[Hashable, SelectionReport] = {}


def plan_selection(
    teacher: Teacher, student: nn.Module, rules: Rules, avoid: Taken | None, input_shape: Sequence[int] | None
) -> SelectionReport:
    """What a student takes, see :func:`~dwskd_monai.weight_selection.select_weights`; neither network is changed.

    The plan of two networks in memory is kept and found again by their architectures and the rules.
    """
    if teacher.weights is not None or rules.elements == "importance":  # depends on more than the architectures
        return _make_plan(teacher, student, rules, avoid, input_shape)
    used = None if avoid is None else (avoid.elements.tobytes(), avoid.bundles.tobytes())
    shape = None if input_shape is None else tuple(input_shape)
    key = _architecture(teacher.network), _architecture(student), repr(rules), used, shape
    if key not in _plans:
        if len(_plans) >= _KEPT:
            del _plans[next(iter(_plans))]
        _plans[key] = _make_plan(teacher, student, rules, avoid, input_shape)
    return _plans[key]


def forget() -> None:
    """Make every plan anew."""
    _plans.clear()


def _architecture(network: nn.Module) -> Hashable:
    """All that a forward pass can depend on: modules with their plain attributes, and the shapes of their tensors."""
    return tuple((name, type(module), _attributes(module)) for name, module in network.named_modules())


def _attributes(module: nn.Module) -> Hashable:
    plain = (bool, int, float, str, type(None))
    attributes = tuple(
        (key, value if isinstance(value, plain) else repr(value))
        for key, value in vars(module).items()
        if key[0] != "_" and key != "training" and isinstance(value, (*plain, tuple, list, dict))
    )
    tensors = (*module._parameters.items(), *module._buffers.items())
    return attributes, tuple((key, tensor if tensor is None else tensor.shape) for key, tensor in tensors)


def _make_plan(
    teacher: Teacher, student: nn.Module, rules: Rules, avoid: Taken | None, input_shape: Sequence[int] | None
) -> SelectionReport:
    network = teacher.network
    family = family_of(network, student)
    layers = LayerSelection(network, student, rules.layers)
    ours = trace(student, input_shape or image_shape(student))
    theirs = trace(network, input_shape or image_shape(network))
    state, their_state = student.state_dict(), network.state_dict()
    new = {name: "new" for name in state if in_classifier(name, student) or name in ours.classifier}
    sources = {name: layers.teacher_name(name) for name in state if name not in new}
    for name in ours.unused & sources.keys():
        other = sources[name]
        if other in theirs.unused and their_state[other].shape != state[name].shape:
            new[name] = "unused"
            del sources[name]
    weights = teacher.open()
    _check_counterparts(sources, state, teacher, theirs, weights)
    scores = element_scores(theirs, weights, sources.values()) if rules.elements == "importance" else np.zeros(0)

    def choice(name: str, size: int, count: int, found: NDArray[np.float64]) -> Choice:
        return Choice(name, size, count, found, rules.offset, rules.seed)

    matching = Matching(theirs, ours, sources, ELEMENT_RULES[rules.elements], choice, scores, avoid)
    places = _Places(network, student, ours, theirs, matching, weights, rules.rescale)
    tensors = tuple(
        places.find(name, sources[name], tuple(tensor.shape))
        if name in sources
        else TensorSelection(name, None, tuple(tensor.shape), None, (new[name],))
        for name, tensor in state.items()
    )
    size = sum(
        tensor.numel()
        for name, tensor in their_state.items()
        if not (in_classifier(name, network) or name in theirs.classifier)
    )
    return SelectionReport(family, rules, tensors, matching.dimensions, layers.blocks, size, matching.taken)


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


class _Places:
    """Finds where in the teacher's tensors the student's are; of the weights only shapes are asked for."""

    def __init__(
        self,
        teacher: nn.Module,
        student: nn.Module,
        ours: Coupling,
        theirs: Coupling,
        matching: Matching,
        weights: Weights,
        rescale: bool,
    ) -> None:
        self._teacher, self._student, self._rescale = teacher, student, rescale
        self._ours, self._theirs, self._matching, self._weights = ours, theirs, matching, weights
        self._known: dict[tuple[bytes, int], Numbers | None] = {}

    def find(self, name: str, source: str, shape: tuple[int, ...]) -> TensorSelection:
        """Where the student's tensor ``name`` is taken from."""
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
        if self._rescale and name in self._ours.layers and len(taken) > 1 and taken[1] is not None:
            rules.append("rescaled")
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
