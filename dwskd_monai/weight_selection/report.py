"""What a weight selection took from where, and how much of the teacher this covers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dwskd_monai.weight_selection.choosing import ChosenDimension, Mask
from dwskd_monai.weight_selection.rules import Rules
from dwskd_monai.weight_selection.tensors import TensorSelection


@dataclass(frozen=True)
class SelectionReport:
    """What one student took from the teacher.

    Args:
        family: class of both networks.
        rules: how the elements were chosen.
        tensors: one entry for each tensor of the student, in the order of its state dict.
        dimensions: the index set of each coupled dimension, by the layer that makes it.
        blocks: for each stage, the teacher's blocks in the order of the student's.
        teacher_values: how many values the teacher's tensors have, without the classifier.
        taken: for each of the teacher's elements, whether the student has it; the other student avoids these.
    """

    family: str
    rules: Rules
    tensors: tuple[TensorSelection, ...]
    dimensions: dict[str, ChosenDimension] = field(repr=False)
    blocks: Mapping[str, tuple[int, ...]]
    teacher_values: int
    taken: Mask = field(repr=False)

    @property
    def coverage(self) -> float:
        """Share of the teacher's values that the student took."""
        return sum(tensor.count() for tensor in self.tensors) / self.teacher_values

    def rule_counts(self) -> dict[str, int]:
        """How many tensors were selected, copied, …"""
        return dict(Counter(", ".join(tensor.steps) for tensor in self.tensors))

    def as_json(self) -> dict[str, Any]:
        """The whole report as plain numbers, texts, lists and dictionaries."""
        return {
            "family": self.family,
            "rules": asdict(self.rules),
            "coverage": self.coverage,
            "blocks": {stage: list(blocks) for stage, blocks in self.blocks.items()},
            "dimensions": {name: asdict(dimension) for name, dimension in self.dimensions.items()},
            "tensors": [tensor.as_json() for tensor in self.tensors],
        }

    def __str__(self) -> str:
        selected = sum(tensor.source is not None for tensor in self.tensors)
        new = [tensor.name for tensor in self.tensors if tensor.source is None]
        layers = self.rules.layers if isinstance(self.rules.layers, str) else "mapped"
        return (
            f"{self.family}: {selected} tensors from the teacher ({layers} layers, {self.rules.elements} elements), "
            f"new: {', '.join(new) or 'none'}, coverage of the teacher {self.coverage:.1%}"
        )


@dataclass(frozen=True)
class PairReport:
    """What two students took from one teacher."""

    main: SelectionReport
    auxiliary: SelectionReport

    @property
    def overlap(self) -> float:
        """Share of the teacher's values that both students took."""
        by_source = {tensor.source: tensor for tensor in self.auxiliary.tensors if tensor.source is not None}
        shared = sum(
            tensor.shared(by_source[tensor.source]) for tensor in self.main.tensors if tensor.source in by_source
        )
        return shared / self.main.teacher_values

    @property
    def coverage(self) -> float:
        """Share of the teacher's values that at least one of the students took."""
        return self.main.coverage + self.auxiliary.coverage - self.overlap

    def __str__(self) -> str:
        return (
            f"main {self.main}; auxiliary coverage {self.auxiliary.coverage:.1%}; "
            f"both {self.coverage:.1%}, overlap {self.overlap:.2%}"
        )
