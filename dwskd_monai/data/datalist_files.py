"""Files of datalists: CSV, or JSON as in the Medical Segmentation Decathlon."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from dwskd_monai.data.columns import COLUMNS, SPLIT_NAMES, columns_of, repeated
from dwskd_monai.data.text import read_text
from dwskd_monai.reading.formats import is_called_image


class RawRow(NamedTuple):
    """A row as it is in the file.

    Args:
        place: where the row is, for messages.
        values: by column.
        split: the split of the list that the row is in.
        error: what is wrong with the row as a whole.
    """

    place: str
    values: dict[str, Any]
    split: str | None = None
    error: str = ""


def read_csv(path: Path, needed: Sequence[str], ignored: Collection[str] | str | None) -> list[RawRow]:
    """The rows of a CSV file.

    Args:
        path: the file.
        needed: columns that the file must have.
        ignored: as for :func:`~dwskd_monai.data.columns.columns_of`.

    Raises:
        ValueError: for unknown, missing or repeated columns, or a file of another form.
    """
    reader = csv.reader(io.StringIO(read_text(path), newline=""))
    rows: list[RawRow] = []
    try:
        header = next(reader, [])
        columns = _columns_of_csv(header, path, needed, ignored)
        for cells in reader:
            place = f"{path}: line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            values = {columns[name]: cell for name, cell in zip(header, cells) if name in columns}
            error = ""
            if any(cell.strip() for cell in cells[len(header) :]):
                error = f"{len(cells)} cells, {len(header)} columns; put text with a comma in quotation marks"
            rows.append(RawRow(place, values, error=error))
    except csv.Error as error:
        raise ValueError(f"{path}: line {reader.line_num}: not CSV ({error})") from error
    return rows


def _columns_of_csv(
    header: Sequence[str], path: Path, needed: Sequence[str], ignored: Collection[str] | str | None
) -> dict[str, str]:
    twice = [name for name in repeated(header) if name.strip()]
    if twice:
        raise ValueError(f"{path}: column {', '.join(twice)} occurs twice; expected it once")
    if len(header) == 1 and any(sign in header[0] for sign in ";\t"):
        raise ValueError(
            f"{path}: column {', '.join(needed)} is missing; got {header[0]!r}: separate columns by commas"
        )
    columns = columns_of(header, path, ignored)
    missing = [column for column in needed if column not in columns.values()]
    if missing:
        further = [column for column in COLUMNS if column not in needed]
        raise ValueError(
            f"{path}: column {', '.join(missing)} is missing; expected {', '.join(needed)} and optionally "
            f"{', '.join(further)}; got {', '.join(header)}"
        )
    return columns


def read_json(path: Path, ignored: Collection[str] | str | None) -> list[RawRow]:
    """The items of a JSON datalist; see :func:`read_csv`."""
    text = read_text(path)
    try:
        content = json.loads(text, object_pairs_hook=_without_repetition)
    except _RepeatedKey as error:
        raise ValueError(f"{path}: {error} occurs twice in one object; expected it once") from error
    except (ValueError, RecursionError) as error:  # also for a number with thousands of digits, or a thousand brackets
        raise ValueError(f"{path}: not a JSON file ({error})") from error
    lists = _lists_of(content, path)
    items = [item for rows in lists.values() for item in rows if isinstance(item, dict)]
    columns = columns_of(dict.fromkeys(name for item in items for name in item), path, ignored)
    return list(_raw_items(lists, columns, path))


def _lists_of(content: Any, path: Path) -> dict[str, list[Any]]:
    """The lists of images; a Decathlon datalist also has a description, a license and more."""
    lists: dict[str, list[Any]] = {}
    splits: list[str] = []
    for name, value in content.items() if isinstance(content, dict) else ():
        split = SPLIT_NAMES.get(name.strip().lower())
        if split is None and _has_images(value):
            raise ValueError(
                f"{path}: unknown list {name!r} of images; expected training, and optionally validation and test"
            )
        if split is not None:
            if not isinstance(value, list):
                raise ValueError(f"{path}: {name}: expected a list of objects with image and label, got {value!r}")
            lists[name] = value
            splits.append(split)
    if not lists:
        raise ValueError(f"{path}: expected an object with a list under training, and optionally validation and test")
    if repeated(splits):
        raise ValueError(f"{path}: several lists of {repeated(splits)[0]} images ({', '.join(lists)}); expected one")
    return lists


def _has_images(value: Any) -> bool:
    def is_one(item: Any) -> bool:
        return isinstance(item, dict) or (isinstance(item, str) and is_called_image(Path(item)))

    return isinstance(value, list) and any(map(is_one, value))


def _raw_items(lists: Mapping[str, list[Any]], columns: Mapping[str, str], path: Path) -> Iterator[RawRow]:
    for name, items in lists.items():
        split = SPLIT_NAMES[name.strip().lower()]
        for index, item in enumerate(items):
            place = f"{path}: {name}[{index}]"
            if isinstance(item, str) and split == "test":  # the Decathlon lists unlabeled images in this way
                yield RawRow(place, {"image": item}, split)
            elif isinstance(item, dict):
                # If there is only "training", a validation fold may be taken from it.
                yield RawRow(place, {columns[key]: value for key, value in item.items() if key in columns}, split)
            else:
                yield RawRow(place, {}, split, f"expected an object with image and label, got {item!r}")


class _RepeatedKey(Exception):
    pass


def _without_repetition(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """The object, if no key is repeated; Python's reader would take the last of equal keys without a word."""
    for name in repeated([key for key, _ in pairs]):
        raise _RepeatedKey(name)
    return dict(pairs)
