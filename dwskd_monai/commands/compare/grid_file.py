"""The options of a comparison as a YAML file, which is read, checked, and written beside the results."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from dwskd_monai.bundle.words import checked_type
from dwskd_monai.commands.compare.methods import read_methods
from dwskd_monai.commands.compare.setting import UNLABELED
from dwskd_monai.commands.compare.yaml_text import yaml_text
from dwskd_monai.files import replacing
from dwskd_monai.training.teachers import PRETRAINED, RANDOM

COMPARED = ("scratch", "selection", "selection_kd", "mean_teacher", "dws_skd_ema", "dws_skd_mutual", "teacher")
COMPARED_WITH_UNLABELED = (
    "selection", "selection_longer", "two_starts", "soft_labels", "teacher_soft_labels", "label_spreading", "teacher"
)  # fmt: skip
INCLUDE = "include"
_PATHS = ("bundle", "dataset_dir", "out", "test_dir", "methods_file")
_NEEDED = ("bundle", "dataset_dir", "out")
_PATHS_OF_TRAINING = ("teacher_weights", "unlabeled_dir", "held_out_dir")  # overrides that name a file or a folder
_HEADER = "# The options of `python -m dwskd_monai compare`; with this file as its argument, it continues.\n"


@dataclass(frozen=True)
class Grid:
    """What is compared, and on which images; :func:`~dwskd_monai.commands.compare.command.compare` has the details.

    Raises:
        ValueError: for a value outside its range; the message names it.
    """

    bundle: Path
    dataset_dir: Path
    out: Path
    methods: Sequence[str] = COMPARED
    fractions: Sequence[float] = (1.0, 0.25, 0.1, 0.05)
    seeds: Sequence[int] = (0, 1, 2)
    folds: int | None = None
    baseline: str = "selection"
    learning_rates: Sequence[float] = ()
    test_dir: Path | None = None
    demo: bool = False
    methods_file: Path | None = None
    keep_models: bool = False
    overrides: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        fractions_fit = bool(self.fractions) and all(0 < fraction <= 1 for fraction in self.fractions)
        folds_fit = self.folds is None or self.folds >= 2
        if not (fractions_fit and folds_fit and self.seeds):
            raise ValueError(
                "expected fractions in (0, 1], at least one seed, and 2 or more folds; got "
                f"fractions={list(self.fractions)}, seeds={list(self.seeds)}, folds={self.folds}"
            )


KEYS = tuple(each.name for each in fields(Grid))


def make_grid(content: Mapping[str, Any]) -> Grid:
    """A grid from the options of a file or a command line.

    Args:
        content: keys of a grid and their values; text, numbers, lists, or one value instead of a list of one.

    Raises:
        ValueError: if a key is missing or its value has a wrong form; the message names the key.
    """
    missing = [key for key in _NEEDED if content.get(key) is None]
    if missing:
        raise ValueError(f"{missing[0]} is missing: give it as --{missing[0]}, or as a key of the grid's file")
    given = {key: value for key, value in content.items() if value is not None}
    for key in _PATHS:
        if key in given:
            given[key] = Path(given[key]).resolve()
    if "methods" in given:
        everything = given["methods"] == "all"
        given["methods"] = tuple(read_methods()) if everything else tuple(map(str, _each(given["methods"])))
    elif _has_unlabeled(given.get("overrides", {})):
        given["methods"] = COMPARED_WITH_UNLABELED
    for key, kind in (("fractions", float), ("seeds", int), ("learning_rates", float)):
        if key in given:
            given[key] = tuple(_number(key, value, kind) for value in _each(given[key]))
    if "folds" in given:
        given["folds"] = _number("folds", given["folds"], int)
    for key in ("demo", "keep_models"):
        checked_type(key, given.get(key, False), default=False)
    return Grid(**given)


def _has_unlabeled(overrides: Mapping[str, Any]) -> bool:
    """Whether images without labels are given, for any fraction."""
    return any(key.partition("@")[0] == UNLABELED and value is not None for key, value in overrides.items())


def read_grid(file: str | Path, above: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The content of a grid's file, including the files that it includes, with absolute paths.

    Paths, including those of ``teacher_weights`` and ``unlabeled_dir``, are relative to the file that they are written
    in. ``include: FILE`` takes over the options of another file; the keys and single overrides of the including file
    replace them.

    Args:
        file: YAML.
        above: the files that include this one.

    Raises:
        FileNotFoundError: if the file does not exist.
        ValueError: if the file is not a map, has an unknown key, or includes itself; the message names file and key.
    """
    path = Path(file).resolve()
    if not path.is_file():
        raise FileNotFoundError(f"grid: {path} is not a file; give a YAML file, or the options of compare")
    if path in above:
        raise ValueError(f"{path} includes itself: {', '.join(map(str, (*above, path)))}")
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    if not isinstance(content, dict) or not isinstance(content.get("overrides", {}), dict):
        raise ValueError(f"{path}: expected a map with the keys {', '.join(KEYS)}; overrides is a map too")
    for key in content:
        if key not in (*KEYS, INCLUDE):
            near = difflib.get_close_matches(str(key), [*KEYS, INCLUDE], 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join([*KEYS, INCLUDE])}"
            raise ValueError(f"{path}: {key} is not a key of a grid; {hint} Keys of train.yaml belong in overrides")
    included = content.pop(INCLUDE, None)
    base = {} if included is None else read_grid(path.parent / included, (*above, path))
    return merged(base, absolute(content, path.parent))


def absolute(content: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """The same keys and values; paths, which are relative to a folder, become absolute."""
    result = dict(content)
    for key in _PATHS:
        if result.get(key) is not None:
            result[key] = str((folder / Path(str(result[key])).expanduser()).resolve())
    overrides = dict(result.get("overrides", {}))
    for key, value in overrides.items():
        if key.partition("@")[0] in _PATHS_OF_TRAINING and value not in (PRETRAINED, RANDOM, None):
            overrides[key] = str((folder / Path(str(value)).expanduser()).resolve())
    return result | ({"overrides": overrides} if overrides else {})


def merged(base: Mapping[str, Any], content: Mapping[str, Any]) -> dict[str, Any]:
    """Two grids as one: values of ``content`` replace those of ``base``, also for each override."""
    overrides = {**base.get("overrides", {}), **content.get("overrides", {})}
    return {**base, **content, "overrides": overrides}


def write_grid(grid: Grid) -> Path:
    """Write a grid's file into the folder of its results, unless a file with the same options is there.

    Several commands may write to one folder, for instance each with other seeds. So existing files stay, and the next
    file is ``grid_2.yaml``.

    Returns:
        The file with the options of the grid.
    """
    text = _as_text(grid)
    for number in count(1):
        path = grid.out / ("grid.yaml" if number == 1 else f"grid_{number}.yaml")
        if not path.exists():
            with replacing(path) as temporary:
                temporary.write_text(text, encoding="utf-8")
            break
        if _as_text(make_grid(read_grid(path))) == text:
            break
    return path


def _as_text(grid: Grid) -> str:
    """The text of a grid's file in the folder of its results."""
    content = {key: value for key, value in asdict(grid).items() if value not in (None, (), {})}
    content["out"] = "."
    return yaml_text(_HEADER, content)


def _each(values: Any) -> Sequence[Any]:
    """A single value as a sequence."""
    return values if isinstance(values, (list, tuple)) else (values,)


def _number(key: str, value: Any, kind: type[int] | type[float]) -> Any:
    try:
        number = kind(value)
    except (TypeError, ValueError):
        number = None
    if number is None or number != float(value):
        name = "whole numbers" if kind is int else "numbers"
        raise ValueError(f"{key}: expected {name}, got {value!r}")
    return number
