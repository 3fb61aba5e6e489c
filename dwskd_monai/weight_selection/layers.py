"""Which blocks of the teacher a student takes, and what a tensor is called there."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from torch import nn

LayerRule = Callable[[int, int], list[int]]
LayerMap = Mapping[str, Sequence[int]]


def first_layers(teacher_depth: int, student_depth: int) -> list[int]:
    """The first ``student_depth`` blocks of a stage (Xu et al., section 3: the best of their layer selections)."""
    return list(range(student_depth))


def uniform_layers(teacher_depth: int, student_depth: int) -> list[int]:
    """Evenly spaced blocks of a stage, the first always among them (Xu et al., section 3)."""
    return [i * teacher_depth // student_depth for i in range(student_depth)]


LAYER_RULES: dict[str, LayerRule] = {"first": first_layers, "uniform": uniform_layers}


def stages(network: nn.Module) -> dict[str, list[str]]:
    """Containers of repeated blocks, with the names of their blocks.

    A stage is a module whose children are numbered (``0``, ``1``, … or ``denselayer1``, …) and are each made of other
    modules. Stages may lie in each other: in timm's EfficientNet ``blocks`` has stages, and ``blocks.2`` has blocks.
    """
    found = {}
    for name, module in network.named_modules():
        children = dict(module.named_children())
        numbered = [re.fullmatch(r"(\D*)\d+", child) for child in children]
        prefixes = {match.group(1) for match in numbered if match}
        if children and all(numbered) and len(prefixes) == 1 and all(any(c.children()) for c in children.values()):
            found[name] = list(children)
    return found


class LayerSelection:
    """Names of the teacher's tensors for those of a student.

    Args:
        teacher: the large network.
        student: the small network.
        layers: ``first``, ``uniform``, or for each stage by its name the teacher's blocks in the order of the
            student's; stages that are not named take their first blocks.

    Attributes:
        blocks: for each stage of the student that has no stages in it, the teacher's blocks, counted from 0.

    Raises:
        ValueError: if a rule or stage is unknown, blocks do not exist or are too few or out of order, or the student is
            deeper than the teacher.
    """

    def __init__(self, teacher: nn.Module, student: nn.Module, layers: str | LayerMap) -> None:
        if isinstance(layers, str) and layers not in LAYER_RULES:
            raise ValueError(f"layers must be one of {', '.join(LAYER_RULES)} or a map of stages, got {layers!r}")
        theirs, ours = stages(teacher), stages(student)
        self._children: dict[str, dict[str, str]] = {}
        chosen = {}
        for stage, names in ours.items():
            source = self.teacher_name(stage)
            available = theirs.get(source, [])
            if len(names) > len(available):
                raise ValueError(
                    f"{stage}: the student is deeper than the teacher, {len(names)} blocks against {len(available)}; "
                    "choose a shallower student or a larger teacher"
                )
            chosen[stage] = tuple(_chosen(stage, len(available), len(names), layers))
            self._children[stage] = {name: available[index] for name, index in zip(names, chosen[stage], strict=True)}
        if not isinstance(layers, str) and layers.keys() - ours.keys():
            unknown = sorted(layers.keys() - ours.keys())
            raise ValueError(f"layers: no stage {', '.join(unknown)}; the student's stages are {', '.join(ours)}")
        self.blocks = {
            stage: blocks for stage, blocks in chosen.items() if not any(o.startswith(f"{stage}.") for o in ours)
        }

    def teacher_name(self, name: str) -> str:
        """Name in the teacher of a module or tensor of the student."""
        source: list[str] = []
        parts = name.split(".") if name else []
        for depth, part in enumerate(parts):
            children = self._children.get(".".join(parts[:depth]), {})
            source.append(children.get(part, part))
        return ".".join(source)


def _chosen(stage: str, teacher_depth: int, student_depth: int, layers: str | LayerMap) -> Sequence[int]:
    if isinstance(layers, str):
        return LAYER_RULES[layers](teacher_depth, student_depth)
    blocks = list(layers.get(stage, range(student_depth)))
    if (
        len(blocks) != student_depth
        or blocks != sorted(set(blocks))
        or not 0 <= blocks[0] <= blocks[-1] < teacher_depth
    ):
        raise ValueError(
            f"layers: {stage} needs {student_depth} increasing numbers of the teacher's {teacher_depth} blocks, "
            f"counted from 0; got {blocks}"
        )
    return blocks
