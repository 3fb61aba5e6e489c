"""Which elements of a coupled dimension a student takes, and all settings of a selection."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.weight_selection.layers import LayerMap, check_layer_rule

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Choice:
    """What a rule chooses from: the groups of a dimension, or the elements of one group.

    Args:
        layer: the layer that makes the dimension; ``random`` draws the same indices for the same layer.
        size: how many candidates there are.
        count: how many are taken, at most ``size``.
        scores: importance of each candidate ``(size,)``; None for the rules that do not use it.
        offset: shift of ``uniform`` and ``consecutive``, in [0, 1).
        seed: of ``random``.
    """

    layer: str
    size: int
    count: int
    scores: NDArray[np.float64] | None = None
    offset: float = 0.0
    seed: int = 0


ElementRule = Callable[[Choice], Indices]


def uniform(choice: Choice) -> Indices:
    """Evenly spaced candidates (Xu et al., section 3): ``floor((i + offset) * size / count)``, in exact arithmetic."""
    shift = Fraction(choice.offset).limit_denominator(1000)
    steps = np.arange(choice.count, dtype=np.int64) * shift.denominator + shift.numerator
    return steps * choice.size // (shift.denominator * choice.count)


def consecutive(choice: Choice) -> Indices:
    """Adjacent candidates (Xu et al., section 3), from the first one, or ``offset`` of the way to the last block."""
    start = int(Fraction(choice.offset).limit_denominator(1000) * (choice.size - choice.count))
    return np.arange(start, start + choice.count, dtype=np.int64)


def random(choice: Choice) -> Indices:
    """Candidates drawn without replacement; the same seed, layer, size and count give the same indices.

    So the elements of a dimension do not depend on which other dimensions a network has. Two dimensions of one layer
    with equal sizes get the same indices, and so do all groups of a convolution; the indices then stand for different
    elements.
    """
    generator = np.random.default_rng([choice.seed, crc32(choice.layer.encode())])
    return np.sort(generator.permutation(choice.size)[: choice.count]).astype(np.int64)


def importance(choice: Choice) -> Indices:
    """Candidates with the largest norm over all weights that they occur in, in the teacher's order."""
    assert choice.scores is not None
    return np.sort(np.argsort(-choice.scores, kind="stable")[: choice.count]).astype(np.int64)


ELEMENT_RULES: dict[str, ElementRule] = {
    "uniform": uniform,
    "consecutive": consecutive,
    "random": random,
    "importance": importance,
}


def choose(rule: ElementRule, choice: Choice, avoid: NDArray[np.bool_]) -> Indices:
    """The indices that ``rule`` takes; candidates that are not in ``avoid`` come first.

    A pair of students is complementary because the second avoids the first's elements. If fewer than ``count``
    candidates are left, all of them are taken, and ``rule`` takes the rest from the avoided ones. So the overlap is as
    small as possible: ``2 * count - size``.

    Args:
        rule: one of :data:`ELEMENT_RULES`.
        choice: the candidates.
        avoid: for each candidate, whether the other student has it ``(size,)``.

    Returns:
        ``count`` distinct indices in increasing order.

    Examples:
        >>> choice = Choice("stem", size=6, count=3)
        >>> main = choose(uniform, choice, avoid=np.zeros(6, bool))
        >>> main.tolist()
        [0, 2, 4]
        >>> choose(uniform, choice, avoid=np.isin(np.arange(6), main)).tolist()
        [1, 3, 5]
    """
    if not avoid.any() or choice.count == choice.size:
        return rule(choice)
    free = np.flatnonzero(~avoid)
    used = np.flatnonzero(avoid)
    if len(free) >= choice.count:
        return free[rule(_among(choice, free, choice.count))]
    again = used[rule(_among(choice, used, choice.count - len(free)))]
    return np.sort(np.concatenate([free, again]))


def _among(choice: Choice, candidates: Indices, count: int) -> Choice:
    """The same choice among some of the candidates."""
    scores = None if choice.scores is None else choice.scores[candidates]
    return Choice(choice.layer, len(candidates), count, scores, choice.offset, choice.seed)


@dataclass(frozen=True)
class Rules:
    """Which blocks and elements of the teacher a student takes.

    Args:
        layers: ``first``, ``uniform``, or a map from names of stages to blocks of the teacher (counted from 0), in the
            order of the student's blocks; stages that are not named take their first blocks.
        elements: ``uniform``, ``consecutive``, ``random`` or ``importance`` (largest norm over all weights of the
            coupled dimension).
        offset: shift in [0, 1): of ``uniform`` as a fraction of its spacing, of ``consecutive`` as a fraction of the
            way to the end.
        seed: of ``random``.
        rescale: multiply the weights of linear layers and convolutions that lost inputs by the square root of (the
            teacher's number of inputs / the student's number of inputs). This keeps the variance of their outputs if
            the inputs are independent.

    Raises:
        ValueError: if a rule is unknown or ``offset`` is outside [0, 1).

    Examples:
        >>> Rules(elements="random", seed=1)
        Rules(layers='first', elements='random', offset=0.0, seed=1, rescale=False)
        >>> Rules(elements="best")
        Traceback (most recent call last):
        ValueError: elements must be one of uniform, consecutive, random, importance, got 'best'
    """

    layers: str | LayerMap = "first"
    elements: str = "uniform"
    offset: float = 0.0
    seed: int = 0
    rescale: bool = False

    def __post_init__(self) -> None:
        check_layer_rule(self.layers)
        if self.elements not in ELEMENT_RULES:
            raise ValueError(f"elements must be one of {', '.join(ELEMENT_RULES)}, got {self.elements!r}")
        if not 0 <= self.offset < 1:
            raise ValueError(
                "offset is a fraction in [0, 1), of the spacing between elements (uniform) or of the way to the end "
                f"(consecutive); got {self.offset}"
            )

    @property
    def element_rule(self) -> ElementRule:
        """The function that ``elements`` names."""
        return ELEMENT_RULES[self.elements]
