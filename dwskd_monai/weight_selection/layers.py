"""Which blocks of the teacher a student takes, and the names of the student's tensors in the teacher."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from torch import nn

LayerRule = Callable[[int, int], list[int]]
LayerMap = Mapping[str, Sequence[int]]


def first_layers(teacher_depth: int, student_depth: int) -> list[int]:
    """The first ``student_depth`` blocks of a stage (Xu et al., section 3: the best of their layer selections)."""
    return list(range(student_depth))


def uniform_layers(teacher_depth: int, student_depth: int) -> list[int]:
    """Evenly spaced blocks of a stage, always including the first (Xu et al., section 3)."""
    return [i * teacher_depth // student_depth for i in range(student_depth)]


LAYER_RULES: dict[str, LayerRule] = {"first": first_layers, "uniform": uniform_layers}


def check_layer_rule(layers: str | LayerMap) -> None:
    """Check that a rule for layers is one of :data:`LAYER_RULES`, if it is not a map.

    Raises:
        ValueError: if it is unknown.
    """
    if isinstance(layers, str) and layers not in LAYER_RULES:
        raise ValueError(f"layers must be one of {', '.join(LAYER_RULES)} or a map of stages, got {layers!r}")


def stages(network: nn.Module) -> dict[str, list[str]]:
    """Containers of repeated blocks, with the names of their blocks.

    A stage is a module whose children are numbered (``0``, ``1``, … or ``denselayer1``, …) and are each made of other
    modules. Stages may contain stages: in timm's EfficientNet ``blocks`` has stages, and ``blocks.2`` has blocks.

    Examples:
        >>> import timm
        >>> network = timm.create_model("convnext_atto", dims=(8, 16, 24, 32), depths=(1, 1, 3, 1))
        >>> stages(network)["stages.2.blocks"]
        ['0', '1', '2']
    """
    return {
        name: [child for child, _ in module.named_children()]
        for name, module in network.named_modules()
        if _is_stage(module)
    }


def _is_stage(module: nn.Module) -> bool:
    children = dict(module.named_children())
    numbered = [re.fullmatch(r"(\D*)\d+", name) for name in children]
    prefixes = {match.group(1) for match in numbered if match}
    made_of_modules = all(any(child.children()) for child in children.values())
    return all(numbered) and len(prefixes) == 1 and made_of_modules


@dataclass(frozen=True)
class LayerSelection:
    """For the modules and tensors of a student, their names in the teacher.

    Args:
        blocks: for each stage of the student that has no stages in it, the teacher's blocks, counted from 0.
        names: for each module and tensor of the student, its name in the teacher, where it may not exist.
    """

    blocks: Mapping[str, tuple[int, ...]]
    names: Mapping[str, str]


def _teacher_name(name: str, children: Mapping[str, Mapping[str, str]]) -> str:
    """Name in the teacher of a module or tensor of the student.

    Args:
        name: in the student.
        children: for each stage of the student, the teacher's name for each of its children.
    """
    parts = name.split(".") if name else []
    teacher_parts = []
    for depth, part in enumerate(parts):
        stage = ".".join(parts[:depth])
        teacher_parts.append(children.get(stage, {}).get(part, part))
    return ".".join(teacher_parts)


def select_layers(teacher: nn.Module, student: nn.Module, layers: str | LayerMap) -> LayerSelection:
    """Choose blocks of the teacher for each stage of the student.

    Args:
        teacher: the large network.
        student: the small network.
        layers: ``first``, ``uniform``, or a map from names of stages to blocks of the teacher, in the order of the
            student's blocks; stages that are not named take their first blocks.

    Raises:
        ValueError: if a rule or stage is unknown, blocks do not exist or are too few or out of order, or the student is
            deeper than the teacher.

    Examples:
        >>> import timm
        >>> teacher = timm.create_model("convnext_atto", dims=(8, 16, 24, 32), depths=(1, 1, 6, 1))
        >>> student = timm.create_model("convnext_atto", dims=(8, 16, 24, 32), depths=(1, 1, 3, 1))
        >>> select_layers(teacher, student, "first").blocks["stages.2.blocks"]
        (0, 1, 2)
        >>> select_layers(teacher, student, "uniform").blocks["stages.2.blocks"]
        (0, 2, 4)
        >>> select_layers(teacher, student, {"stages.2.blocks": [0, 3, 5]}).names["stages.2.blocks.1.norm.weight"]
        'stages.2.blocks.3.norm.weight'
    """
    student_stages = stages(student)
    teacher_stages = stages(teacher)
    check_layer_rule(layers)
    if not isinstance(layers, str):
        _check_stages(layers, student_stages)
    children: dict[str, dict[str, str]] = {}
    blocks: dict[str, tuple[int, ...]] = {}
    for stage, members in student_stages.items():  # outer stages come first, and say what inner ones are called
        available = teacher_stages.get(_teacher_name(stage, children), [])
        if len(members) > len(available):
            raise ValueError(
                f"{stage}: the student is deeper than the teacher ({len(members)} > {len(available)} blocks); "
                "choose a shallower student or a larger teacher"
            )
        chosen = _choose_blocks(stage, len(available), len(members), layers)
        children[stage] = {name: available[block] for name, block in zip(members, chosen, strict=True)}
        if not any(other.startswith(f"{stage}.") for other in student_stages):
            blocks[stage] = tuple(chosen)
    modules = (name for name, _ in student.named_modules(remove_duplicate=False))
    names = {name: _teacher_name(name, children) for name in (*modules, *student.state_dict())}
    return LayerSelection(blocks, names)


def _check_stages(layers: LayerMap, student_stages: Iterable[str]) -> None:
    unknown = sorted(layers.keys() - set(student_stages))
    if unknown:
        raise ValueError(f"layers: no stage {', '.join(unknown)}; the student's stages are {', '.join(student_stages)}")


def _choose_blocks(stage: str, teacher_depth: int, student_depth: int, layers: str | LayerMap) -> Sequence[int]:
    if isinstance(layers, str):
        return LAYER_RULES[layers](teacher_depth, student_depth)
    blocks = list(layers.get(stage, range(student_depth)))
    increasing = blocks == sorted(set(blocks))
    if len(blocks) != student_depth or not increasing or not 0 <= blocks[0] <= blocks[-1] < teacher_depth:
        raise ValueError(
            f"layers: {stage} needs {student_depth} increasing numbers of the teacher's {teacher_depth} blocks, "
            f"counted from 0; got {blocks}"
        )
    return blocks
