"""Comparing what the package does with the values that are kept in ``expected/``."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

EXPECTED = Path(__file__).parent / "expected"
_WIDTH = 120  # of a line; what is shorter is not broken up
_MISSING = "nothing"


@dataclass(frozen=True)
class Golden:
    """Values that are compared with a file, or written to it.

    Args:
        update: whether to write the values instead of comparing them.
    """

    update: bool

    def check(self, file: str, case: str, value: Any, rtol: float = 0.0, atol: float = 0.0) -> None:
        """Compare a value with that of ``case`` in ``expected/<file>.json``.

        Args:
            file: name of the file, without its suffix.
            case: key in the file.
            value: what JSON can hold: mappings, sequences, text, numbers, None.
            rtol: relative tolerance of floats; everything else must be equal.
            atol: absolute tolerance of floats.
        """
        got = json.loads(json.dumps(value, allow_nan=False))  # as it would come out of the file: lists for tuples
        if self.update:
            cases = (read(file) if path_of(file).exists() else {}) | {case: got}
            path_of(file).parent.mkdir(exist_ok=True)
            path_of(file).write_text(as_text(dict(sorted(cases.items()))) + "\n", encoding="utf-8")
        cases = read(file)
        assert case in cases, f"{path_of(file).name} has no {case!r}; --update-golden writes it"
        different = differences(cases[case], got, rtol, atol)
        assert not different, f"{path_of(file).name}, {case}: {len(different)} differences:\n" + "\n".join(different)


def path_of(file: str) -> Path:
    return EXPECTED / f"{file}.json"


def read(file: str) -> dict[str, Any]:
    """All cases of a file."""
    cases: dict[str, Any] = json.loads(path_of(file).read_text(encoding="utf-8"))
    return cases


def differences(expected: Any, got: Any, rtol: float = 0.0, atol: float = 0.0, place: str = "") -> list[str]:
    """Each place in which two values of JSON differ, with both values; places are written ``key/key/index``."""
    if isinstance(expected, list) and isinstance(got, list):
        expected, got = dict(enumerate(expected)), dict(enumerate(got))
    if isinstance(expected, dict) and isinstance(got, dict):
        found = []
        for key in [*expected, *(key for key in got if key not in expected)]:
            below = f"{place}/{key}".lstrip("/")
            if key in expected and key in got:
                found += differences(expected[key], got[key], rtol, atol, below)
            else:
                found.append(_difference(below, expected.get(key, _MISSING), got.get(key, _MISSING)))
        return found
    if _is_number(expected) and _is_number(got) and float in (type(expected), type(got)):
        same = math.isclose(expected, got, rel_tol=rtol, abs_tol=atol)
    else:
        same = type(expected) is type(got) and expected == got
    return [] if same else [_difference(place, expected, got)]


def rounded(number: float) -> float:
    """To seven digits: more would change with each CPU."""
    return float(f"{number:.7g}")


def as_text(value: Any, indent: int = 0, key: str = "") -> str:
    """JSON in which what fits into a line is not broken up, so that lists of numbers stay readable."""
    start = f"{' ' * indent}{key}"
    line = start + json.dumps(value, ensure_ascii=False)
    if not value or not isinstance(value, (dict, list)) or (indent and len(line) < _WIDTH):
        return line
    if isinstance(value, dict):
        items = [as_text(item, indent + 1, f"{json.dumps(name, ensure_ascii=False)}: ") for name, item in value.items()]
    else:
        items = [as_text(item, indent + 1) for item in value]
    opening, closing = "{}" if isinstance(value, dict) else "[]"
    return f"{start}{opening}\n" + ",\n".join(items) + f"\n{' ' * indent}{closing}"


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _difference(place: str, expected: Any, got: Any) -> str:
    shown = (value if value is _MISSING else json.dumps(value, ensure_ascii=False) for value in (expected, got))
    return "{}: expected {}, got {}".format(place or "the value", *shown)


def assert_no_case_is_left_over(file: str, cases: Mapping[str, Any]) -> None:
    """Raise where a file has values that no test compares any more; they must be deleted by hand."""
    assert sorted(read(file)) == sorted(cases), path_of(file)
