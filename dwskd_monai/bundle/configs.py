"""A bundle's configs: read with what a command overrides, and checked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from dwskd_monai.bundle.errors import cause_of

_ITEMS = "train#dataset#data"


def read_config(bundle: Path, names: str | Sequence[str], overrides: Mapping[str, Any]) -> ConfigParser:
    """Configs of a bundle, one laid over the other, with those of the overrides that they have ids for.

    Args:
        bundle: its folder.
        names: files of its ``configs``, without ``.yaml``.
        overrides: ids and values.

    Raises:
        FileNotFoundError: if the folder is no bundle.
    """
    names = [names] if isinstance(names, str) else list(names)
    for file in (*(f"{name}.yaml" for name in names), "metadata.json"):
        if not (bundle / "configs" / file).is_file():
            raise FileNotFoundError(f"bundle: {bundle} has no configs/{file}; give the folder of a bundle")
    parser = ConfigParser()
    parser.read_config([bundle / "configs" / f"{name}.yaml" for name in names])
    parser.read_meta(bundle / "configs" / "metadata.json")
    parser.update(pairs={key: value for key, value in overrides.items() if has(parser, key)})
    return parser


def has(parser: ConfigParser, key: str) -> bool:
    """Whether a config has an id, or a part to which it can be added."""
    parent = key.rpartition("#")[0]
    return key in parser or bool(parent and parent in parser and isinstance(parser[parent], dict))


def refuse_unknown(overrides: Iterable[str], command: str, *parsers: ConfigParser) -> None:
    """Raise ValueError for an override that no config has; MONAI would ignore it."""
    for key in overrides:
        if not any(has(parser, key) for parser in parsers):
            raise ValueError(
                f"{key} is neither an option of {command} nor an id of the bundle's train.yaml or inference.yaml"
            )


def check_classes(class_names: Sequence[str] | Mapping[str, str], num_classes: int) -> None:
    """Raise where the network has another number of outputs than ``metadata.json`` names classes.

    Args:
        class_names: names in the order of the outputs, or metadata's ``channel_def``.
        num_classes: outputs of the network.
    """
    names = list(class_names.values() if isinstance(class_names, Mapping) else class_names)
    if len(names) != num_classes:
        raise ValueError(
            f"num_classes is {num_classes}, configs/metadata.json names {len(names)} classes ({', '.join(names)}); set "
            "num_classes in the configs, or channel_def and num_channels of outputs.pred in metadata.json"
        )


def items_of(parser: ConfigParser, split: str, fold: int) -> list[dict[str, Any]]:
    """The items of a split as a bundle's training lists them, of all its training images.

    Args:
        parser: of the bundle's training, with its ``dataset_dir``; unchanged afterwards.
        split: ``training``, ``validation``, ``test`` or ``all``.
        fold: the validation fold.

    Raises:
        FileNotFoundError, ValueError: what is wrong with the data.
    """
    settings = {**parser[_ITEMS], "split": split, "fold": fold, "train_fraction": 1.0}
    before = parser[_ITEMS]
    parser[_ITEMS] = settings
    parser.parse(reset=True)
    try:
        items: list[dict[str, Any]] = parser.get_parsed_content(_ITEMS)
    except RuntimeError as error:
        raise cause_of(error) from error
    finally:
        parser[_ITEMS] = before
    return items
