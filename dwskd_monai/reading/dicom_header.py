"""The header of a DICOM file: its attributes as numbers and texts, each checked when it is read.

Values are parsed from the bytes of the file, not by pydicom, which fails over a decimal comma without saying where, and
reads ``5\\5`` of another value representation as a text. An empty attribute counts as missing.
"""

from __future__ import annotations

import functools
import math
import re
import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataset import Dataset
from pydicom.tag import BaseTag
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from dwskd_monai.reading.formats import has_preamble
from dwskd_monai.reading.refusal import RefusedImage, refusing

_BINARY = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "FL": "f", "FD": "d", "UV": "Q", "SV": "q"}
_WHOLE = ("US", "SS", "UL", "SL", "UV", "SV")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")
_IDENTIFIER = re.compile(r"[0-9.]{1,64}")
_DAMAGED = "a damaged DICOM file, its header cannot be read"
_SHOWN = 40  # characters of a value in a message


class Header:
    """Attributes of a file, or of one of its frames.

    Args:
        path: of the file.
        datasets: where an attribute is looked for, in this order: the functional groups of a frame (Enhanced CT and
            MR), those that all frames share, the file itself.
        syntax: UID of the transfer syntax.
        frame: number of the frame, for messages; None for the file.
    """

    def __init__(self, path: Path, datasets: Sequence[Dataset], syntax: str, frame: int | None = None) -> None:
        self.path = path
        self.syntax = syntax
        self._datasets = datasets
        self._frame = frame

    def refusal(self, reason: str, kind: str = "header") -> RefusedImage:
        """The error of this file."""
        return RefusedImage(self.path, reason, kind, self.series, self.instance)

    @property
    def series(self) -> str | None:
        """SeriesInstanceUID, if it is one."""
        return self._identifier("SeriesInstanceUID")

    @property
    def instance(self) -> str | None:
        """SOPInstanceUID, if it is one."""
        return self._identifier("SOPInstanceUID")

    @property
    def place(self) -> str:
        """How messages name the file, or its frame."""
        return self.path.name if self._frame is None else f"{self.path.name}, frame {self._frame}"

    def of_frame(self, number: int | None, groups: Sequence[Dataset]) -> Header:
        """The header of one frame, whose functional groups override the file's own attributes."""
        return Header(self.path, [*groups, *self._datasets], self.syntax, number)

    @property
    def frame(self) -> int | None:
        """Number of the frame; None for the file."""
        return self._frame

    def decoded(self, name: str) -> str:
        """An attribute's text in whatever character set the file has."""
        with refusing(self.path, f"{_DAMAGED}: {name}"):
            return str(self._datasets[-1].get(name) or "").strip()

    def text(self, name: str) -> str:
        """An attribute's text; empty if there is none."""
        raw = self._bytes(name)[0]
        return raw.decode("ascii", "replace").strip(" \0") if raw else ""

    def whole(self, name: str, default: int | None = None) -> int:
        """An attribute's whole number.

        Raises:
            RefusedImage: if it is not one, or missing without a default.
        """
        number = self.number(name)
        if number is None and default is None:
            raise self.refusal(f"{self.named(name)} is missing")
        value = default if number is None else number
        assert value is not None
        if value != int(value):
            raise self.refusal(f"{self.named(name)} is {number:g}; expected a whole number")
        return int(value)

    def number(self, name: str) -> float | None:
        """An attribute's number; None if there is none."""
        numbers = self.numbers(name, 1)
        return None if numbers is None else numbers[0]

    def numbers(self, name: str, count: int | None = None) -> tuple[float, ...] | None:
        """An attribute's numbers; None if there are none.

        Raises:
            RefusedImage: if it has another count, or anything but finite numbers.
        """
        raw, kind, order = self._bytes(name)
        if not raw:
            return None
        if kind in _BINARY:
            if kind in _WHOLE and _tag(name)[1] in ("DS", "IS"):  # most likely the text that it should be
                raise self.refusal(f"{self.named(name)} has value representation {kind}; expected {_tag(name)[1]}")
            size = struct.calcsize(_BINARY[kind])
            if len(raw) % size:
                raise self.refusal(f"{self.named(name)} has {len(raw)} bytes; expected {size} for each number ({kind})")
            values = [float(value) for value in struct.unpack(f"{order}{len(raw) // size}{_BINARY[kind]}", raw)]
        else:
            values = self._parsed(name, raw.decode("ascii", "replace").strip(" \0"))
        if not all(map(math.isfinite, values)):
            raise self.refusal(f"{self.named(name)} is {self._shown(values)}; expected finite numbers")
        if count is not None and len(values) != count:
            expected = "one number" if count == 1 else f"{count} numbers"
            raise self.refusal(f"{self.named(name)} is {self._shown(values)}; expected {expected}, got {len(values)}")
        return tuple(values)

    def raw(self, name: str) -> bytes:
        """An attribute's bytes; empty if there is no such attribute."""
        return self._bytes(name)[0]

    @property
    def is_big_endian(self) -> bool:
        """Whether words of several bytes begin with the most significant one."""
        return self.syntax == ExplicitVRBigEndian

    def items(self, name: str) -> list[Dataset]:
        """The items of a sequence; none if there is no such sequence."""
        with refusing(self.path, f"{_DAMAGED}: {name}"):
            for dataset in self._datasets:
                if name in dataset:
                    element = dataset[name]
                    if element.VR != "SQ":
                        raise self.refusal(f"{self.named(name)} is not a sequence (its VR is {element.VR})")
                    return list(element.value or [])
        return []

    def item(self, dataset: Dataset) -> Header:
        """An item of one of the sequences."""
        return Header(self.path, [dataset], self.syntax, self._frame)

    def named(self, name: str) -> str:
        """How messages name an attribute."""
        return name if self._frame is None else f"{name} of frame {self._frame}"

    def _identifier(self, name: str) -> str | None:
        """None for anything but digits and points: in a damaged header, the patient's name may stand there."""
        try:
            text = self.text(name)
        except RefusedImage:  # what is refused already needs no second reason
            return None
        return text if _IDENTIFIER.fullmatch(text) else None

    def _parsed(self, name: str, text: str) -> list[float]:
        parts = [part.strip(" \0") for part in text.split("\\")]
        if all(part.lower() in ("nan", "inf", "-inf") or _NUMBER.fullmatch(part) for part in parts):
            return [float(part) for part in parts]
        hint = "; a decimal comma must be a point" if "," in text else ""
        raise self.refusal(f"{self.named(name)} is {text[:_SHOWN]!r}; expected numbers in decimal notation{hint}")

    def _bytes(self, name: str) -> tuple[bytes, str, str]:
        """An attribute's bytes, value representation and byte order; no bytes if there is no such attribute."""
        tag, known = _tag(name)
        for dataset in self._datasets:
            if tag not in dataset.keys():  # noqa: SIM118  "in dataset" would make another tag of it
                continue
            with refusing(self.path, f"{_DAMAGED}: {name}"):
                element: Any = dataset.get_item(tag)
                value = element.value
            if not isinstance(value, bytes):  # not raw: pydicom has parsed it, as it does the character set
                shown = "" if value is None else str(value)
                return shown.encode("ascii", "replace"), "LO", "<"
            kind = element.VR if element.VR not in (None, "UN") else known
            if kind == "US or SS":
                kind = "SS" if self._is_signed() else "US"
            return value, kind, ">" if self.is_big_endian else "<"
        return b"", known, "<"

    def _is_signed(self) -> bool:
        return self._bytes("PixelRepresentation")[0][:2] in (b"\1\0", b"\0\1")

    def _shown(self, values: Sequence[float]) -> str:
        return "\\".join(f"{value:g}" for value in values)[:_SHOWN]


@functools.cache
def _tag(name: str) -> tuple[BaseTag, str]:
    """The tag and value representation that the standard gives to a name."""
    tag = tag_for_keyword(name)
    assert tag is not None, name
    return BaseTag(tag), dictionary_VR(tag)


def read_header(path: Path, tags: Sequence[str]) -> Header:
    """Some attributes of a file.

    Raises:
        RefusedImage: if it is damaged.
    """
    with refusing(path, _DAMAGED):
        dataset = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=list(tags), force=not has_preamble(path))
        meta = getattr(dataset, "file_meta", None)
        syntax = str(meta.get("TransferSyntaxUID", "") or "") if meta is not None else ""
        if not syntax:  # a file without a preamble names none; pydicom found out how it is written
            encoding = getattr(dataset, "original_encoding", None)  # of pydicom 3
            implicit, little = encoding or (dataset.read_implicit_vr, dataset.read_little_endian)
            syntax = ImplicitVRLittleEndian if implicit else ExplicitVRLittleEndian
            syntax = syntax if little else ExplicitVRBigEndian
    return Header(path, [dataset], str(syntax))


def groups_of(header: Header, sequence: Sequence[Dataset]) -> list[Dataset]:
    """What the functional groups in the items of a sequence hold: the first item of each."""
    found = []
    with refusing(header.path, f"{_DAMAGED}: functional groups"):
        for item in sequence:
            found += [group.value[0] for group in item if group.VR == "SQ" and group.value]
    return found
