from __future__ import annotations

import inspect
from pathlib import Path

import pytest
import yaml

from dwskd_monai.commands.compare.command import compare
from dwskd_monai.commands.compare.grid_file import (
    COMPARED,
    COMPARED_WITH_UNLABELED,
    KEYS,
    Grid,
    make_grid,
    read_grid,
    write_grid,
)
from dwskd_monai.commands.compare.methods import read_methods

NEEDED = {"bundle": "b", "dataset_dir": "d", "out": "o"}


def write(path: Path, **content) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(content))
    return path


def test_the_options_of_the_command_are_the_keys_of_the_file():
    options = set(inspect.signature(compare).parameters)
    assert options - set(KEYS) == {"grid", "jobs", "ray_address", "plan"}
    assert set(KEYS) <= options


def test_paths_are_relative_to_the_file_that_they_are_written_in(tmp_path):
    write(
        tmp_path / "base.yaml",
        bundle="bundles/ct",
        overrides={"teacher_weights": "teacher.pt", "momentum": 0.9, "unlabeled_dir": "more"},
    )
    own = {"dataset_dir": "../data", "out": "/results", "test_dir": None}
    path = write(
        tmp_path / "grids" / "few.yaml", include="../base.yaml", overrides={"teacher_weights@0.1": "b.pt"}, **own
    )
    assert make_grid(read_grid(path)) == Grid(
        bundle=tmp_path / "bundles" / "ct",
        dataset_dir=tmp_path / "data",
        out=Path("/results"),
        methods=COMPARED_WITH_UNLABELED,
        overrides={
            "teacher_weights": str(tmp_path / "teacher.pt"),
            "unlabeled_dir": str(tmp_path / "more"),
            "momentum": 0.9,
            "teacher_weights@0.1": str(tmp_path / "grids" / "b.pt"),
        },
    )


@pytest.mark.parametrize("word", ["pretrained", "random"])
def test_weights_that_are_no_file_stay_as_they_are(tmp_path, word):
    path = write(tmp_path / "grid.yaml", overrides={"teacher_weights": word}, **NEEDED)
    assert read_grid(path)["overrides"] == {"teacher_weights": word}


def test_a_file_comes_before_what_it_includes(tmp_path):
    write(tmp_path / "a.yaml", seeds=[0], folds=2, overrides={"momentum": 0.9, "max_epochs": 3})
    write(tmp_path / "b.yaml", include="a.yaml", seeds=[1], overrides={"max_epochs": 4})
    content = read_grid(write(tmp_path / "c.yaml", include="b.yaml", folds=None))
    assert content == {"seeds": [1], "folds": None, "overrides": {"momentum": 0.9, "max_epochs": 4}}
    assert make_grid(content | NEEDED).folds is None


def test_one_value_is_a_list_of_one_and_all_are_the_packages_methods():
    grid = make_grid({**NEEDED, "fractions": 1, "seeds": 3, "methods": "selection", "learning_rates": "1e-3"})
    assert (grid.fractions, grid.seeds, grid.methods, grid.learning_rates) == ((1.0,), (3,), ("selection",), (0.001,))
    assert make_grid({**NEEDED, "methods": "all"}).methods == tuple(read_methods())
    assert make_grid(NEEDED).methods == COMPARED


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"fraction": 1.0}, r"a.yaml: fraction is not a key of a grid; did you mean fractions\?"),
        ({"max_epochs": 3}, "max_epochs is not a key of a grid; .* Keys of train.yaml belong in overrides"),
        ({"overrides": [1]}, "a.yaml: expected a map with the keys bundle, .*; overrides is a map too"),
        ({"include": "a.yaml"}, "a.yaml includes itself"),
    ],
)
def test_a_wrong_file_is_named(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        read_grid(write(tmp_path / "a.yaml", **content))


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="grid: .*nowhere.yaml is not a file"):
        read_grid(tmp_path / "nowhere.yaml")
    with pytest.raises(FileNotFoundError, match="grid: .* is not a file"):
        read_grid(tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"out": None}, "out is missing: give it as --out, or as a key of the grid's file"),
        ({"fractions": ["half"]}, "fractions: expected numbers, got 'half'"),
        ({"folds": 2.5}, "folds: expected whole numbers, got 2.5"),
        ({"demo": "perhaps"}, "demo must be true or false"),
        ({"seeds": []}, "at least one seed"),
    ],
)
def test_a_wrong_value_is_named(content, message):
    with pytest.raises(ValueError, match=message):
        make_grid({**NEEDED, **content})


def test_what_was_asked_for_is_written_once_and_another_grid_beside_it(tmp_path):
    overrides = {"network_def#dims": (8, 16), "memory_format": "$torch.channels_last"}
    grid = make_grid({**NEEDED, "out": tmp_path, "fractions": 0.5, "overrides": overrides})
    assert write_grid(grid) == write_grid(grid) == tmp_path / "grid.yaml"
    again = make_grid(read_grid(tmp_path / "grid.yaml"))
    assert again.out == tmp_path
    assert again.overrides == {"network_def#dims": [8, 16], "memory_format": "$torch.channels_last"}
    assert write_grid(again) == tmp_path / "grid.yaml"
    assert write_grid(make_grid({**NEEDED, "out": tmp_path, "seeds": 7})) == tmp_path / "grid_2.yaml"
