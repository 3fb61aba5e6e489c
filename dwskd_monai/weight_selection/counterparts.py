"""Which tensor of the teacher each tensor of the student is taken from."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from dwskd_monai.weight_selection.layers import LayerSelection
from dwskd_monai.weight_selection.networks import TracedNetwork
from dwskd_monai.weight_selection.weights import Weights


@dataclass(frozen=True)
class Counterparts:
    """Where a student's tensors come from.

    Args:
        sources: for each tensor that is taken from the teacher, its name there.
        kept: for each tensor that keeps its values, why: ``new`` (the classifier), or ``unused`` (of another shape, but
            without a part in the forward pass of either network).
    """

    sources: Mapping[str, str]
    kept: Mapping[str, str]


def find_counterparts(
    student: TracedNetwork, teacher: TracedNetwork, weights: Weights, layers: LayerSelection
) -> Counterparts:
    """The teacher's tensor for each of the student's.

    Args:
        student: the small network.
        teacher: the large network.
        weights: the teacher's tensors, of which only the names are used; a file may lack some of the network's.
        layers: what the student's tensors are called in the teacher.

    Raises:
        ValueError: if the teacher's network has no such tensor (the message has the tensor's name and shape), or if its
            file lacks the tensor (the message has the file's name).
    """
    shapes = {name: tuple(tensor.shape) for name, tensor in student.network.state_dict().items()}
    teacher_shapes = {name: tuple(tensor.shape) for name, tensor in teacher.network.state_dict().items()}
    sources: dict[str, str] = {}
    kept: dict[str, str] = {}
    for name, shape in shapes.items():
        source = layers.names[name]
        unused = name in student.coupling.unused and source in teacher.coupling.unused
        if student.is_classifier(name):
            kept[name] = "new"
        elif unused and teacher_shapes[source] != shape:
            kept[name] = "unused"
        elif source in teacher_shapes:
            sources[name] = source
        else:
            raise ValueError(
                f"{name}: the student's tensor of shape {shape} has no counterpart {source!r} in the teacher "
                f"({type(teacher.network).__name__})"
            )
    _check_weights(weights, teacher, teacher_shapes.keys(), sources.values())
    return Counterparts(sources, kept)


def _check_weights(
    weights: Weights, teacher: TracedNetwork, teacher_names: Iterable[str], sources: Iterable[str]
) -> None:
    """Check that everything that will be taken is there."""
    names = set(weights.names())
    for source in sources:
        if source not in names:
            unknown = ", ".join(sorted(names.difference(teacher_names))[:3])
            raise ValueError(
                f"{weights}: missing {source}, which a {type(teacher.network).__name__} has; does the file belong to "
                f"another network? Of its {len(names)} tensors, these are unknown: {unknown or 'none'}"
            )
