from __future__ import annotations

import pytest
from fire.parser import DefaultParseValue

from dwskd_monai.arguments import flag, optional


@pytest.mark.parametrize(
    ("word", "expected"), [("true", True), ("false", False), ("True", True), ("False", False), ("FALSE", False)]
)
def test_words_of_a_command_line_are_what_they_say(word, expected):
    assert flag("resume", DefaultParseValue(word)) is expected


@pytest.mark.parametrize("value", ["no", "", 0, 1, None, "0"])
def test_anything_else_is_named(value):
    with pytest.raises(ValueError, match=f"resume must be true or false; got {value!r}"):
        flag("resume", value)


def test_null_is_none_and_everything_else_itself():
    assert optional(DefaultParseValue("null")) is None
    assert optional(DefaultParseValue("None")) is None
    for value in (0, "", "data/null", [0, 255], 5.0, False):
        assert optional(value) == value
