"""The comparison itself: a golden test that cannot fail would freeze nothing."""

from __future__ import annotations

import json

import pytest

from tests.golden import golden as module
from tests.golden.golden import Golden, as_text, differences


@pytest.mark.parametrize(
    ("expected", "got", "message"),
    [
        ({"a": {"b": [1, 2.0]}}, {"a": {"b": [1, 2.1]}}, ["a/b/1: expected 2.0, got 2.1"]),
        ({"a": 1}, {}, ["a: expected 1, got nothing"]),
        ({}, {"a": None}, ["a: expected nothing, got null"]),
        ([1, 2], [1], ["1: expected 2, got nothing"]),
        ({"a": True, "b": "x"}, {"a": 1, "b": "y"}, ["a: expected true, got 1", 'b: expected "x", got "y"']),
        ("x", "y", ['the value: expected "x", got "y"']),
        ({"a": [1]}, {"a": {"0": 1}}, ['a: expected [1], got {"0": 1}']),
    ],
)
def test_each_difference_is_named_with_its_place(expected, got, message):
    assert differences(expected, got) == message


def test_only_floats_have_a_tolerance():
    assert differences({"a": 100.0}, {"a": 100.05}, rtol=1e-3) == []
    assert differences({"a": 100.0}, {"a": 100.2}, rtol=1e-3) == ["a: expected 100.0, got 100.2"]
    assert differences({"a": 0.0}, {"a": 1e-6}, rtol=1e-3, atol=1e-5) == []
    assert differences({"a": 1000}, {"a": 1001}, rtol=0.1) == ["a: expected 1000, got 1001"]


def test_a_value_is_written_only_on_demand_and_then_compared(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "EXPECTED", tmp_path)
    Golden(update=True).check("x", "first", {"a": (1, 2.5)})
    Golden(update=True).check("x", "second", None)
    Golden(update=False).check("x", "first", {"a": [1, 2.5]})
    with pytest.raises(AssertionError, match=r"x.json, first: 1 differences:\na/0: expected 1, got 2"):
        Golden(update=False).check("x", "first", {"a": (2, 2.5)})
    with pytest.raises(AssertionError, match=r"x.json has no 'third'; --update-golden writes it"):
        Golden(update=False).check("x", "third", 1)
    assert json.loads((tmp_path / "x.json").read_text()) == {"first": {"a": [1, 2.5]}, "second": None}


def test_what_is_written_is_json_and_short_lists_stay_in_one_line():
    value = {"a": [1, 2, 3], "b" * 50: {"long": ["x" * 35] * 3, "empty": {}}, "c": "é"}
    assert json.loads(as_text(value)) == value
    assert '"a": [1, 2, 3],' in as_text(value).splitlines()[1]
    assert max(map(len, as_text(value).splitlines())) <= 120
