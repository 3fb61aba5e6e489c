"""Frozen: what the configs of each bundle say, for each combination of them that is used, as key -> value.

``train`` and ``inference`` are kept whole; of the other combinations what they add to ``train``, change or remove.
Macros and relative ids are resolved. Of what a config names in Python only the last name is kept (``AugmentViewsd``),
so that a class may move to another module.

Where a config is meant to change: ``pytest tests/golden/test_configs.py --update-golden``, and read the difference of
``expected/configs_<bundle>.json``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from monai.bundle import ConfigParser

from tests.conftest import BUNDLES
from tests.golden.golden import Golden, assert_no_case_is_left_over

WHOLE = (("train",), ("inference",))
OVER_TRAIN = (
    ("train", "evaluate"),
    ("train", "evaluate", "combine_students"),
    ("train", "evaluate", "evaluate_exported"),
    ("train", "evaluate", "against"),
    ("train", "train_teacher"),
    ("train", "train_teacher", "evaluate"),
    ("train", "multi_gpu_train"),
    ("train", "demo"),
)
each_bundle = pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)


def resolved(bundle: Path, names: Sequence[str]) -> dict[str, Any]:
    """Configs laid one over the other, without the metadata, as key -> value."""
    parser = ConfigParser()
    parser.read_config([bundle / "configs" / f"{name}.yaml" for name in names])
    parser.resolve_macro_and_relative_ids()
    return flat({key: value for key, value in parser.config.items() if key != "_meta_"})


def flat(value: Any, key: str = "") -> dict[str, Any]:
    """Ids as MONAI writes them, ``train#handlers#0#_target_``; lists of plain values stay whole."""
    if isinstance(value, dict) and value:
        parts = value
    elif isinstance(value, list) and any(isinstance(item, dict) for item in value):
        parts = dict(enumerate(value))
    else:
        return {key: without_modules(value, key.endswith("_target_"))}
    result: dict[str, Any] = {}
    for name, part in parts.items():
        result |= flat(part, f"{key}#{name}" if key else str(name))
    return result


def without_modules(value: Any, target: bool = False) -> Any:
    """Of each name in the package, and of each target, what follows the last dot; ids with ``#``, as we write them."""
    if isinstance(value, list):
        return [without_modules(item) for item in value]
    if not isinstance(value, str):
        return value
    value = value.replace("::", "#")  # which MONAI makes of them
    value = re.sub(r"\bdwskd_monai(?:\.\w+)*\.(\w+)", r"\1", value)
    return value.rpartition(".")[2] if target else value


def compared(base: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """What a combination adds to another config, changes there and removes, each with its value."""
    return {
        "added": {key: value for key, value in config.items() if key not in base},
        "changed": {
            key: {"from": base[key], "to": value} for key, value in config.items() if base.get(key, value) != value
        },
        "removed": {key: value for key, value in base.items() if key not in config},
    }


@pytest.mark.parametrize("names", WHOLE, ids="+".join)
@each_bundle
def test_a_config_says_what_it_said(golden: Golden, bundle, names):
    golden.check(f"configs_{bundle.name}", "+".join(names), resolved(bundle, names))


@pytest.mark.parametrize("names", OVER_TRAIN, ids="+".join)
@each_bundle
def test_a_combination_changes_of_train_what_it_changed(golden: Golden, bundle, names):
    change = compared(resolved(bundle, ["train"]), resolved(bundle, names))
    golden.check(f"configs_{bundle.name}", "+".join(names), change)


@each_bundle
def test_each_combination_that_is_kept_is_compared(bundle):
    assert_no_case_is_left_over(f"configs_{bundle.name}", {"+".join(names): None for names in (*WHOLE, *OVER_TRAIN)})


def test_a_class_may_move_and_not_change_its_name():
    config = {"a": {"_target_": "dwskd_monai.x.y.Name"}, "b": "$dwskd_monai.x.f(@c::d) + [1.5]", "c": [1, 2], "d": {}}
    assert flat(config) == {"a#_target_": "Name", "b": "$f(@c#d) + [1.5]", "c": [1, 2], "d": {}}
    assert flat({"a": [{"_target_": "Compose", "b": None}]}) == {"a#0#_target_": "Compose", "a#0#b": None}
