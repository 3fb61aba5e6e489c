"""Codes of classes fit DICOM's 16 characters, and differ if the names do."""

from __future__ import annotations

import itertools

from dwskd_monai.dicom_out import concepts

NAMES = [
    "covid19",
    "no_findings",
    "no-findings",
    "nofindings",
    "Covid19",
    "肺炎",
    "気胸",
    "a" * 40,
    "a" * 41,
    "A+",
    "A-",
]


def test_private_codes_are_short_and_unique():
    values = [concepts.of_class(name, {}).value for name in NAMES]
    assert len(set(values)) == len(NAMES)
    numbers = [concepts.of_number(kind, name).value for kind in ("probability", "operating point") for name in NAMES]
    assert len(set(numbers)) == 2 * len(NAMES)
    for value in (*values, *numbers):
        assert value.isascii()
        assert 0 < len(value) <= 16


def test_a_code_means_the_name():
    for name, known in itertools.product(NAMES[:4], ({}, {"covid19": {"scheme": "S", "value": "1", "meaning": "M"}})):
        code = concepts.of_class(name, known)
        assert (code.scheme_designator, code.meaning) == (("S", "M") if name in known else ("99DWSKD", name))
