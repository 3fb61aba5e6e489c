"""Checks of arguments that several modules need."""

from __future__ import annotations

from collections.abc import Sequence


def one_of(name: str, value: object, allowed: Sequence[object]) -> None:
    """Raises ValueError, with the argument's name and the allowed values, if ``value`` is not one of these."""
    if value not in allowed:
        raise ValueError(f"{name} must be one of {', '.join(map(str, allowed))}; got {value!r}")


def in_range(name: str, value: float, low: float, high: float) -> None:
    """Raises ValueError, with the argument's name, if ``value`` is NaN or not in [low, high]."""
    if not low <= value <= high:
        raise ValueError(f"{name} must be in [{low}, {high}]; got {value}")
