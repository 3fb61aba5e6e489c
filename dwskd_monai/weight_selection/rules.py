"""Which layers and which elements of the teacher a student takes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction

ElementRule = Callable[[int, int, float], list[int]]
LayerRule = Callable[[int, int], list[int]]


def first_layers(teacher_depth: int, student_depth: int) -> list[int]:
    """The first ``student_depth`` blocks of a stage (Xu et al., section 3: the best of their layer selections)."""
    return list(range(student_depth))


def uniform_elements(teacher_size: int, student_size: int, offset: float = 0.0) -> list[int]:
    """Evenly spaced elements of a coupled dimension (Xu et al., section 3).

    Element i is ``floor((i + offset) * teacher_size / student_size)``, in exact arithmetic.

    Args:
        teacher_size: elements of the dimension in the teacher.
        student_size: elements of the dimension in the student, at most ``teacher_size``.
        offset: shift of the grid as a fraction of its spacing, in [0, 1).

    Returns:
        ``student_size`` distinct indices in increasing order.

    Raises:
        ValueError: if ``offset`` is outside [0, 1).
    """
    if not 0 <= offset < 1:
        raise ValueError(f"offset is a fraction of the spacing between elements, in [0, 1), got {offset}")
    shift = Fraction(offset).limit_denominator(1000)
    numerator, denominator = shift.numerator, shift.denominator
    return [(i * denominator + numerator) * teacher_size // (denominator * student_size) for i in range(student_size)]


LAYER_RULES: dict[str, LayerRule] = {"first": first_layers}
ELEMENT_RULES: dict[str, ElementRule] = {"uniform": uniform_elements}


def choose_elements(
    rule: ElementRule, teacher_size: int, student_size: int, offset: float, avoid: Sequence[int] = ()
) -> list[int]:
    """Indices that ``rule`` takes, first from the elements that are not in ``avoid``.

    A pair of students is complementary because the second avoids the first's elements. Where fewer than
    ``student_size`` elements are left, all of them are taken and ``rule`` fills up from the avoided ones, so the
    overlap is as small as it can be: ``2 * student_size - teacher_size``.
    """
    taken = set(avoid)
    if not taken or student_size == teacher_size:
        return rule(teacher_size, student_size, offset)
    free = [index for index in range(teacher_size) if index not in taken]
    if len(free) >= student_size:
        return [free[i] for i in rule(len(free), student_size, offset)]
    used = sorted(taken)
    again = [used[i] for i in rule(len(used), student_size - len(free), offset)]
    return sorted(free + again)
