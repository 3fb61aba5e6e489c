from __future__ import annotations

import pytest
from fire.parser import DefaultParseValue

from dwskd_monai.bundle.words import as_values, checked_type, has_words, refuse_fractions


@pytest.mark.parametrize(
    ("word", "value"),
    [("true", True), ("false", False), ("True", True), ("False", False), ("FALSE", False), ("null", None)],
)
def test_words_of_a_command_line_are_what_they_say(word, value):
    assert as_values(DefaultParseValue(word)) is value
    assert as_values({"a": [word], "b": {"c": word}}) == {"a": [value], "b": {"c": value}}


def test_everything_else_is_itself():
    for value in (0, "", "data/null", "none", [0, 255], 5.0, False, {"true": 1}):
        assert as_values(value) == value
        assert not has_words([value])
    for value in ("null", ["null", 255], {"a": {"b": "False"}}):
        assert has_words([3, value])


@pytest.mark.parametrize("value", ["no", "", 0, 1, None, "0"])
def test_a_switch_takes_true_and_false_alone(value):
    with pytest.raises(ValueError, match=f"resume must be true or false; got {value!r}"):
        checked_type("resume", value, False)


def test_a_number_is_not_a_word():
    with pytest.raises(ValueError, match="image_size must be a number, such as 224; got 'large'"):
        checked_type("image_size", "large", 224)


def test_the_word_none_is_not_taken_for_a_path():
    with pytest.raises(ValueError, match="cache_dir must be a value, or null for nothing; got 'none'"):
        checked_type("cache_dir", "none", "$@bundle_root + '/cache'")
    checked_type("auxiliary", "none", "mutual")


@pytest.mark.parametrize(
    ("value", "default"), [("$torch.ones(1)", True), ("@other", 3), (None, 5.0), ([1, 2], 3), ("x", "y"), (3, "auto")]
)
def test_expressions_nothing_and_settings_of_other_kinds_are_not_judged(value, default):
    checked_type("setting", value, default)


@pytest.mark.parametrize("value", [2.5, 4.0])
def test_a_count_is_a_whole_number_and_other_settings_may_be_shares(value):
    refuse_fractions({"label_views": 4, "label_epochs": value, "max_epochs": "@epochs", "folds": None})
    with pytest.raises(ValueError, match=f"label_views must be a whole number; got {value}"):
        refuse_fractions({"label_views": value})
