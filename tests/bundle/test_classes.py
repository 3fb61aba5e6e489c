"""Codes of classes are checked when a classifier is exported, not when a report is written."""

from __future__ import annotations

import re
from typing import Any

import pytest

from dwskd_monai.bundle.classes import class_codes_of

CODE = {"scheme": "SCT", "value": "233604007", "meaning": "Pneumonia"}


def metadata(**class_codes: Any) -> dict[str, Any]:
    pred = {"channel_def": {"0": "healthy", "1": "pneumonia"}}
    return {"network_data_format": {"outputs": {"pred": pred}}, "class_codes": class_codes}


def test_classes_may_have_codes():
    assert class_codes_of(metadata(pneumonia=CODE)) == {"pneumonia": CODE}
    without = metadata()
    del without["class_codes"]
    assert class_codes_of(without) == {}


def test_a_code_of_no_class_is_named():
    with pytest.raises(ValueError, match="class_codes in configs/metadata.json: Pneumonia; expected classes of this b"):
        class_codes_of(metadata(Pneumonia=CODE))


@pytest.mark.parametrize(
    "code",
    [{"scheme": "SCT", "value": "1"}, CODE | {"value": 233604007}, CODE | {"value": "2" * 17}, CODE | {"scheme": ""}],
    ids=["no meaning", "a number", "too long", "empty"],
)
def test_what_is_no_code_is_named(code):
    with pytest.raises(ValueError, match=rf"the code of pneumonia is {re.escape(str(code))}; expected"):
        class_codes_of(metadata(pneumonia=code))
