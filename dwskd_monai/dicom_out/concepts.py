"""Codes of classes, and of what no standard has a code for."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping

from highdicom.coding_schemes import CodingSchemeIdentificationItem
from highdicom.sr import CodedConcept
from pydicom.sr.codedict import codes

PRIVATE = "99DWSKD"  # the standard reserves 99… for schemes of one's own
_LONGEST = 16  # characters of a code
_MEANING = 64  # characters of what it means
PERCENT = codes.UCUM.Percent
RATIO = codes.UCUM.Ratio


def private(value: str, meaning: str) -> CodedConcept:
    """A code of this package, for what no standard has one."""
    return CodedConcept(value, PRIVATE, meaning[:_MEANING])


TITLE = private("ANSWER", "Classification by software, research only")
MOST_PROBABLE = private("CLASS", "Most probable class")
IN_SET = private("PREDICTIONSET", "In the prediction set")
REACHES = private("ATPOINT", "Reaches its operating point")
UNLIKE = private("UNLIKE", "Unlike the training images")
NO_CLASS = private("NOCLASS", "No class")
NOVELTY = private("NOVELTY", "Score: how unlike the training images")
NOVELTY_LIMIT = private("NOVELTYLIMIT", "Score from which on a study is unlike them")


def of_class(name: str, known: Mapping[str, Mapping[str, str]]) -> CodedConcept:
    """The code of a class.

    Args:
        name: of the class.
        known: ``class_codes`` of the classifier's metadata; a class that is not there gets a private code.
    """
    if name in known:
        code = known[name]
        return CodedConcept(code["value"], code["scheme"], code["meaning"][:_MEANING])
    return private(_key(name, _LONGEST), name)


def of_number(kind: str, name: str) -> CodedConcept:
    """The code of a number about a class: its ``probability`` or ``operating point``."""
    prefix = kind[0].upper()
    return private(f"{prefix}.{_key(name, _LONGEST - 2)}", f"{kind.capitalize()} of {name}")


def schemes() -> list[CodingSchemeIdentificationItem]:
    """What a report says of the private codes."""
    return [CodingSchemeIdentificationItem(PRIVATE, "dwskd_monai: classes and scores of a classifier")]


def _key(name: str, longest: int) -> str:
    """The name itself if it can be a code; a long or odd one is made unique by a part of its digest."""
    if re.fullmatch(r"[A-Za-z0-9_]+", name) and len(name) <= longest:
        return name
    plain = re.sub(r"[^A-Za-z0-9]+", "", name)
    return plain[: longest - 6] + hashlib.sha256(name.encode()).hexdigest()[:6]
