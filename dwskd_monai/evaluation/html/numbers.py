"""A measured number as text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple


class NumberText(NamedTuple):
    """A number, its interval and its n as text."""

    value: str
    interval: str
    n: str


def number_text(measured: Mapping[str, Any]) -> NumberText:
    """A number as the page shows it; in place of an interval, a calibration error has what chance alone makes.

    Examples:
        >>> number_text({"value": 0.9, "low": 0.8, "high": 0.95, "n": 1200})
        NumberText(value='0.900', interval='0.800–0.950', n='1,200')
    """
    if "chance_low" in measured:
        interval = f"chance alone: {_range(measured['chance_low'], measured['chance_high'])}"
    elif measured["low"] is None:
        interval = measured["reason"]
    else:
        interval = _range(measured["low"], measured["high"])
    return NumberText(_shown(measured["value"]), interval, f"{measured['n']:,}")


def _range(low: float, high: float | None) -> str:
    between = " to " if low < 0 else "–"
    return f"{_shown(low)}{between}{'∞' if high is None else _shown(high)}"


def _shown(value: float) -> str:
    text = f"{value:.3f}" if abs(value) < 10 else f"{value:.3g}"
    return text.replace("-", "−")
