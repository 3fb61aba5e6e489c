"""Whether the network is worse for some people, sites or devices: each group beside all other studies."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from dwskd_monai.evaluation.intervals import Groups, group_count, groups_of
from dwskd_monai.evaluation.measuring import share
from dwskd_monai.evaluation.resampling import Resamples, lacking, record

MOST_VALUES = 12  # of a column
UNKNOWN = "unknown"
_AGES = (18, 40, 60, 80)  # chosen before any result is seen
_AGE = re.compile(r"0*(\d{1,3})(\.\d*)?\s*(y|years?)?", re.IGNORECASE)
Columns = Mapping[str, Sequence[str | None]]  # of the datalist: a value for each study


def subgroups(columns: Columns, right: NDArray[np.bool_], groups: Groups, resamples: Resamples) -> dict[str, Any]:
    """The accuracy in each group of studies, and its difference to that in all others.

    P values are of the difference divided by its standard error from the resamples, which is about normal. They are
    corrected by Holm (1979) for all differences of the report, so that a difference by chance alone is named in at most
    5 % of reports.

    Args:
        columns: of the datalist, such as ``sex`` and ``age``.
        right: ``(N,)``, whether a study is predicted correctly.
        groups: the patient of each study.
        resamples: of these patients.
    """
    found: dict[str, dict[str, dict[str, Any]]] = {}
    left_out: dict[str, str] = {}
    for column, values in columns.items():
        named = _in_bins(column, values)
        names = sorted(set(named), key=_in_order)
        if len(names) > MOST_VALUES:
            left_out[column] = f"{len(names)} values; at most {MOST_VALUES} make groups"
        elif len(names) < 2:
            left_out[column] = f"each study has the value {names[0]}"
        else:
            found[column] = {name: _group(np.array(named) == name, right, groups, resamples) for name in names}
    _correct(found)
    return {"columns": found, "left_out": left_out}


def holm(values: Sequence[float]) -> list[float]:
    """P values after Holm's correction, which scipy does not have.

    Examples:
        >>> holm([0.01, 0.04, 0.03])
        [0.03, 0.06, 0.06]
    """
    count = len(values)
    corrected = [0.0] * count
    largest = 0.0
    for rank, place in enumerate(np.argsort(values, kind="stable").tolist()):
        largest = max(largest, min(1.0, (count - rank) * values[place]))
        corrected[place] = largest
    return corrected


def age_group(age: str) -> str | None:
    """The group of an age in years, also as in DICOM headers; None if it is not one.

    Examples:
        >>> age_group("045Y"), age_group("17.5"), age_group("80"), age_group("old")
        ('40–59', '0–17', '80 and older', None)
    """
    match = _AGE.fullmatch(age.strip())
    if match is None:
        return None
    years = int(match[1])
    place = int(np.searchsorted(_AGES, years, side="right"))
    if place == len(_AGES):
        return f"{_AGES[-1]} and older"
    return f"{_AGES[place - 1] if place else 0}–{_AGES[place] - 1}"


def _in_bins(column: str, values: Sequence[str | None]) -> list[str]:
    known = {value: age_group(value) for value in set(values) if value is not None}
    if column == "age" and None not in known.values():
        return [known[value] or UNKNOWN if value is not None else UNKNOWN for value in values]
    return [UNKNOWN if value is None else value for value in values]


def _in_order(name: str) -> tuple[bool, int, str]:
    """Ages by their first number; studies without a value last."""
    number = re.match(r"\d+", name)
    return name == UNKNOWN, int(number[0]) if number else 0, name


def _group(chosen: NDArray[np.bool_], right: NDArray[np.bool_], groups: Groups, resamples: Resamples) -> dict[str, Any]:
    members = groups_of(chosen, groups)
    of_group: dict[str, Any] = {
        "studies": len(members),
        "patients": group_count(members),
        "accuracy": share(right, chosen, groups),
    }
    reason = lacking(chosen, groups)
    if reason is not None:
        return of_group | {"difference": reason.replace("other classes", "other studies")}
    kinds = (chosen, chosen & right, ~chosen, ~chosen & right)
    inside, right_inside, outside, right_outside = resamples.totals(np.stack(kinds, axis=1)).T
    with np.errstate(divide="ignore", invalid="ignore"):
        differences = right_inside / inside - right_outside / outside
    of_group["difference"] = record(differences, len(chosen))
    error = float(np.nanstd(differences[1:]))
    if error > 0:
        of_group["p"] = float(2 * stats.norm.sf(abs(differences[0]) / error))
    return of_group


def _correct(found: Mapping[str, Mapping[str, dict[str, Any]]]) -> None:
    """Put p values after the correction in place of those before; a column of two values is one comparison."""
    comparisons: list[list[dict[str, Any]]] = []
    for groups in found.values():
        tested = [one for one in groups.values() if "p" in one]
        comparisons += [tested] if len(groups) == 2 and tested else [[one] for one in tested]
    corrected = holm([same[0]["p"] for same in comparisons])
    for same, value in zip(comparisons, corrected, strict=True):
        for one in same:
            one["p"] = round(value, 6)
