"""Rows of a datalist, checked."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from dwskd_monai.data.columns import SPLIT_NAMES, SUBGROUPS
from dwskd_monai.data.datalist_files import RawRow, read_csv, read_json
from dwskd_monai.data.text import listed_lines

_NOTHING = {"nan", "none", "null", "na", "n/a", "<na>", "nat", "unknown", "-", "?"}  # how programs write no value
_MOST_LETTERS = 100
_MOST_DIGITS = 9
_logger = logging.getLogger(__name__)
_T = TypeVar("_T")


@dataclass(frozen=True)
class Row:
    """An image of a datalist, and what the datalist says about it.

    Args:
        image: its file, or the folder of its DICOM series; it exists.
        label: as it is written there, if there is one.
        split: ``training``, ``validation`` or ``test``, if the row says so.
        fold: the fold in which it is a validation image, if the row says so.
        patient: identifier of the patient, if the row has one.
        study: identifier of the examination, if the row has one.
        place: where the row is, for messages.
        has_label: whether it can have a label; False for an image that is listed by its name alone.
        subgroups: its values of columns such as ``sex``, as pairs of column and value.
    """

    image: Path
    label: str | None
    split: str | None
    fold: int | None
    patient: str | None
    study: str | None
    place: str
    has_label: bool = True
    subgroups: tuple[tuple[str, str], ...] = ()


def is_datalist(path: Path) -> bool:
    """Whether :func:`read_rows` reads a file, judged by its name."""
    return path.suffix.lower() in (".csv", ".json")


def read_rows(
    path: Path,
    needed: Sequence[str],
    of_row: Callable[[Row], _T],
    ignored_columns: Collection[str] | str | None = (),
    missing_ok: bool = False,
) -> list[_T]:
    """The results of a function for each row of a ``.csv`` or ``.json`` file.

    Args:
        path: the file; paths of images are relative to its folder.
        needed: columns that a CSV file must have.
        of_row: the function; it raises ValueError if a row is wrong.
        ignored_columns: columns to ignore; None: all unknown ones.
        missing_ok: accept an image that does not exist, which reading will refuse.

    Raises:
        FileNotFoundError: if images do not exist.
        ValueError: for unknown, missing or repeated columns; for rows that have no image, have an unknown split or are
            refused by ``of_row``; or if the file has another form. All wrong rows are named at once.
    """
    is_csv = path.suffix.lower() == ".csv"
    results: list[_T] = []
    errors: list[Exception] = []
    unknown: dict[str, set[str]] = {"patient": set(), "study": set()}
    for raw in read_csv(path, needed, ignored_columns) if is_csv else read_json(path, ignored_columns):
        try:
            results.append(of_row(_row(raw, path, unknown, missing_ok)))
        except (ValueError, FileNotFoundError) as error:
            errors.append(error)
    _raise_all(errors, path)
    for column, words in unknown.items():
        if words:
            shown = ", ".join(sorted(words))
            _logger.warning("%s: a %s that is called %s is taken as unknown", path, column, shown)
    return results


def _row(raw: RawRow, source: Path, unknown: dict[str, set[str]], missing_ok: bool) -> Row:
    place, values, split, error = raw
    if error:
        raise ValueError(f"{place}: {error}")
    image = values.get("image") or ""
    if not isinstance(image, str):
        raise ValueError(f"{place}: image {image!r}; expected the path of one file or folder")
    if not image.strip():
        raise ValueError(f"{place}: no image")
    file = _existing(image.strip(), source, place, missing_ok)
    label = None if values.get("label") is None else str(values["label"])
    known: dict[str, str | None] = {}
    for column, words in unknown.items():
        known[column], is_unknown = _identifier(values.get(column))
        if is_unknown:
            words.add(str(values[column]).strip())
    return Row(
        file,
        label,
        _split(values.get("split"), split, place),
        _fold(values.get("fold"), place),
        known["patient"],
        known["study"],
        place,
        has_label="label" in values or split != "test",
        subgroups=_subgroups(values),
    )


def _subgroups(values: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    known = ((column, _identifier(values.get(column))[0]) for column in SUBGROUPS)
    return tuple((column, value) for column, value in known if value is not None)


def _existing(image: str, source: Path, place: str, missing_ok: bool) -> Path:
    try:
        file = source.parent / Path(image).expanduser()
        exists = file.exists()
    except (OSError, ValueError, RuntimeError) as error:  # too long, not text, or of an unknown user
        shown = image if len(image) < _MOST_LETTERS else f"{image[:_MOST_LETTERS]}…"
        what = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"{place}: image {shown!r} cannot be a path ({what})") from error
    if not exists and not missing_ok:
        raise FileNotFoundError(f"{place}: image {file} does not exist")
    return file


def _identifier(value: Any) -> tuple[str | None, bool]:
    """An identifier, or None; and whether it is a word for no value."""
    text = "" if value is None else str(value).strip()
    if text.lower() in _NOTHING:
        return None, True
    return text or None, False


def _split(value: Any, of_list: str | None, place: str) -> str | None:
    """The split that a row names, or else the list that it is in."""
    text = "" if value is None else str(value).strip().lower()
    if not text:
        return of_list
    if text not in SPLIT_NAMES:
        raise ValueError(f"{place}: unknown split {text!r}; expected one of {', '.join(SPLIT_NAMES)}")
    split = SPLIT_NAMES[text]
    if of_list not in (None, split):
        raise ValueError(f"{place}: split {text!r} in the list of {of_list} images; expected one of both")
    return split


def _fold(value: Any, place: str) -> int | None:
    text = "" if value is None else str(value).strip()
    whole, _, fraction = text.partition(".")  # pandas writes 1.0 if another row has no number
    if not text:
        return None
    if not whole.isdecimal() or len(whole) > _MOST_DIGITS or fraction.strip("0"):
        raise ValueError(f"{place}: fold {text!r}; expected the number, from 0, of a fold")
    return int(whole)


def _raise_all(errors: Sequence[Exception], path: Path) -> None:
    if len(errors) == 1:
        raise errors[0]
    if errors:
        missing = all(isinstance(error, FileNotFoundError) for error in errors)
        kind = FileNotFoundError if missing else ValueError
        raise kind(f"{path}: {len(errors)} rows are wrong:\n{listed_lines(list(map(str, errors)))}")
