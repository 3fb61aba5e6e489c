"""What the columns of a datalist mean: columns of a CSV file, or keys of the items of a JSON file."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

COLUMNS = ("image", "label", "patient", "study", "split", "fold")
SPLIT_NAMES = {
    "training": "training",
    "train": "training",
    "validation": "validation",
    "valid": "validation",
    "val": "validation",
    "test": "test",
    "testing": "test",
}
ASIDE = "x_"  # names of columns that are ignored begin with this
# Further spellings, in small letters, without blanks, hyphens, underscores and dots. Each can mean only one thing:
# "id", "name", "case", "group" and "series" can mean several things, and are not among them.
_SPELLINGS = {
    "image": "images img imagepath imagefile imagefilename imgpath imgfile path filepath file filename",
    "label": "labels class classname classlabel labelname target category diagnosis",
    "patient": "patients patientid patientidentifier patientnumber subject subjectid participant participantid mrn",
    "study": "studyid studyuid studyinstanceuid exam examid examination accession accessionnumber",
    "split": "set subset partition",
    "fold": "folds foldid cvfold kfold",
}
# Columns that say nothing about a label, a patient or a split; an evaluation compares the groups of studies
SUBGROUPS = ("age", "sex", "gender", "site", "scanner", "modality", "view")
_KNOWN = {word: column for column, words in _SPELLINGS.items() for word in (column, *words.split())}
_logger = logging.getLogger(__name__)


def columns_of(names: Iterable[str], path: Path, ignored: Collection[str] | str | None = ()) -> dict[str, str]:
    """The columns of a datalist that are used, each with its name in ``COLUMNS`` or ``SUBGROUPS``; others are logged.

    Args:
        names: the names in the file.
        path: of the file, for messages.
        ignored: names of columns to ignore; None: all unknown ones.

    Raises:
        ValueError: for an unknown column, or several that mean the same.
    """
    declared = {_plain(name) for name in (ignored.split(",") if isinstance(ignored, str) else ignored or ())}
    used: dict[str, str] = {}
    aside: list[str] = []
    unknown: list[str] = []
    for name in names:
        word = _plain(name)
        if word in declared or name.strip().lower().startswith(ASIDE) or _has_row_numbers(word):
            aside.append(name)
        elif word in SUBGROUPS:
            if word in used.values():
                aside.append(name)
            else:
                used[name] = word
        elif word in _KNOWN:
            used[name] = _KNOWN[word]
        else:
            unknown.append(name)
    if unknown and ignored is not None:
        raise ValueError(
            f"{path}: unknown column {_listed(unknown)}; expected {', '.join(COLUMNS)}. Rename it; or, if it is to "
            f"be ignored, let its name begin with {ASIDE}, or name it in the setting ignored_columns"
        )
    _refuse_repeated(used, path)
    _log(used, aside, path)
    return used


def repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once."""
    return sorted({name for name in names if names.count(name) > 1})


def _plain(name: str) -> str:
    return re.sub(r"[\s_.-]", "", str(name)).lower()


def _has_row_numbers(word: str) -> bool:
    """Whether a column has row numbers, which pandas writes without a name."""
    return not word or word.startswith("unnamed:") or word == "index"


def _refuse_repeated(used: dict[str, str], path: Path) -> None:
    for column in repeated(list(used.values())):
        same = [name for name, meant in used.items() if meant == column]
        raise ValueError(
            f"{path}: the columns {_listed(same)} all mean {column}; expected one. Remove the others, let their names "
            f"begin with {ASIDE}, or name them in the setting ignored_columns"
        )


def _log(used: dict[str, str], aside: Sequence[str], path: Path) -> None:
    for name, column in used.items():
        if name != column:
            _logger.info("%s: column %r is taken as %s", path, name, column)
    if aside:
        _logger.info("%s: column %s is not used", path, _listed(aside))


def _listed(names: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in names)
