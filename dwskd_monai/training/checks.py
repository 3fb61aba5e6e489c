"""Arguments that are checked alike in several places."""

from __future__ import annotations

from collections.abc import Sequence


def one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Raises ValueError, with the argument's name and what is allowed, if ``value`` is something else."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}; got {value!r}")


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError, with the argument's name, if ``value`` is not in [low, high]; NaN is not."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}]; got {value}")
