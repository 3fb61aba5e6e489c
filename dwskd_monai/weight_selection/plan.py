"""Plans what is taken from where, tensor by tensor, and finds what does not fit before anything is changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from dwskd_monai.weight_selection import adaptation
from dwskd_monai.weight_selection.counterparts import Counterparts
from dwskd_monai.weight_selection.coupling import Numbers
from dwskd_monai.weight_selection.networks import TracedNetwork
from dwskd_monai.weight_selection.tensors import TensorSelection
from dwskd_monai.weight_selection.weights import Weights

Shape = tuple[int, ...]


def plan_tensors(
    student: TracedNetwork,
    teacher: TracedNetwork,
    weights: Weights,
    counterparts: Counterparts,
    axes: Mapping[str, tuple[Numbers, ...]],
    rescale: bool,
) -> tuple[TensorSelection, ...]:
    """Plan where each tensor of the student is taken from, in the order of its state dict; nothing is changed.

    Args:
        student: the small network.
        teacher: the large network.
        weights: the teacher's tensors, of which only shapes are used; a file may have other shapes than the network.
        counterparts: the teacher's tensor for each of the student's.
        axes: for each tensor of the student and each of its axes, the teacher's elements along it; -1 if they are not
            channels.
        rescale: see :class:`~dwskd_monai.weight_selection.Rules`.

    Raises:
        ValueError: if a tensor does not fit; the message has its name and both shapes.
    """
    planner = _Planner(student, teacher, weights, axes, rescale)
    tensors = []
    for name, tensor in student.network.state_dict().items():
        shape = tuple(tensor.shape)
        if name in counterparts.sources:
            tensors.append(planner.plan(name, counterparts.sources[name], shape))
        else:
            tensors.append(TensorSelection(name, None, shape, None, (counterparts.kept[name],)))
    return tuple(tensors)


@dataclass(frozen=True)
class _Planner:
    """Finds where in the teacher's tensors the student's are; the arguments are those of :func:`plan_tensors`."""

    student: TracedNetwork
    teacher: TracedNetwork
    weights: Weights
    axes: Mapping[str, tuple[Numbers, ...]]
    rescale: bool

    def plan(self, name: str, source: str, shape: Shape) -> TensorSelection:
        """Where the student's tensor ``name`` of this shape is in the teacher's tensor ``source``."""
        source_shape = self.weights.shape(source)
        steps: list[str] = []
        if len(source_shape) != len(shape):
            adaptation.reshaped(name, torch.empty(source_shape, device="meta"), shape)  # a dry run, for its errors
            steps.append("reshaped")
        positions: list[Numbers | None] = [None] * len(source_shape)
        for axis in range(min(len(source_shape), len(shape))):
            if (self.axes[name][axis] >= 0).all():
                positions[axis] = self._positions(name, axis, source, source_shape, shape, rows=positions[0])
            elif source_shape[axis] != shape[axis]:
                step = self._adaptation(name, axis, source_shape, shape)
                steps += [step] if step not in steps else []  # one step adapts several axes
        steps.append("copied" if all(part is None for part in positions) else "selected")
        if self.rescale and name in self.student.coupling.layers and len(positions) > 1 and positions[1] is not None:
            steps.append("rescaled")
        return TensorSelection(name, source, shape, source_shape, tuple(steps), tuple(positions))

    def _positions(
        self, name: str, axis: int, source: str, source_shape: Shape, shape: Shape, rows: Numbers | None
    ) -> Numbers | None:
        """Positions along an axis of the teacher's tensor; None for all of it in its order."""
        elements = self.axes[name][axis]
        teacher_elements = self.teacher.coupling.axes[source][axis]
        length = teacher_elements.shape[-1]
        if length != source_shape[axis]:
            raise ValueError(
                f"{source}: {source_shape} in the teacher's weights, but the network "
                f"{type(self.teacher.network).__name__} has {length} elements along axis {axis}; does the file belong "
                "to another network?"
            )
        if teacher_elements.ndim > 1 and rows is not None:  # inputs of a convolution with groups, for each output
            teacher_elements = teacher_elements[rows]
        if elements.ndim > 1 or teacher_elements.ndim > 1:  # where one has no groups, each output has all inputs
            outputs = len(elements) if elements.ndim > 1 else len(teacher_elements)
            elements = np.broadcast_to(elements, (outputs, elements.shape[-1]))
            teacher_elements = np.broadcast_to(teacher_elements, (outputs, length))
        try:
            places = positions_by_row(np.atleast_2d(elements), np.atleast_2d(teacher_elements))
        except LookupError as error:
            message = adaptation.misfit(name, source_shape, shape)
            raise ValueError(f"{message} along axis {axis}: {error}") from error
        if places.shape[1] == length and (places == np.arange(length)).all():
            return None
        return places if elements.ndim > 1 else places[0]

    def _adaptation(self, name: str, axis: int, source_shape: Shape, shape: Shape) -> str:
        """How an axis is adapted that is not a channel dimension and differs in length."""
        # A dry run of what copying will do, for its errors and its shape; the values are irrelevant.
        if axis == 1 and name in self.student.coupling.image_weights:
            adaptation.adapted_input(name, torch.empty(source_shape), shape[1])
            return "adapted"
        resampled = adaptation.resampled_positions(
            name, torch.empty(source_shape), shape, self.teacher.network, self.student.network
        )
        if resampled is None or resampled.shape[axis] != shape[axis]:
            raise ValueError(
                f"{adaptation.misfit(name, source_shape, shape)}: axis {axis} is not a channel dimension, so it must "
                "have the same length in both"
            )
        return "resampled"


def positions_by_row(wanted: Numbers, available: Numbers) -> Numbers:
    """For each element of each row of ``wanted``, its position in the same row of ``available``.

    An element may occur several times, as a channel does after an image is flattened; its k-th occurrence in ``wanted``
    is matched with its k-th in ``available``::

        wanted [[7, 7, 5, 5]]    available [[5, 5, 6, 6, 7, 7]]    ->    [[4, 5, 0, 1]]

    Args:
        wanted: ``(rows, n)``.
        available: ``(rows, m)``.

    Returns:
        Positions ``(rows, n)``.

    Raises:
        LookupError: if ``available`` lacks an element, or has it less often.
    """
    rows = np.arange(len(wanted))[:, None]
    count = 1 + max(wanted.max(initial=0), available.max(initial=0))
    # Elements of different rows become different numbers, so that all rows are searched at once.
    wanted_keys = (wanted + rows * count).ravel()
    available_keys = (available + rows * count).ravel()
    order = np.argsort(available_keys, kind="stable")
    ordered = available_keys[order]
    places = np.searchsorted(ordered, wanted_keys) + _earlier_occurrences(wanted_keys)
    if len(places) and (places.max() >= len(ordered) or not np.array_equal(ordered[places], wanted_keys)):
        raise LookupError("an element of the student is not along the teacher's axis")
    positions: Numbers = order[places].reshape(wanted.shape) - rows * available.shape[1]
    return positions


def _earlier_occurrences(keys: Numbers) -> Numbers:
    """For each key, how often it came before: 7 7 5 7 -> 0 1 0 2."""
    order = np.argsort(keys, kind="stable")
    ordered = keys[order]
    earlier = np.empty(len(keys), dtype=np.int64)
    earlier[order] = np.arange(len(keys)) - np.searchsorted(ordered, ordered)
    return earlier
