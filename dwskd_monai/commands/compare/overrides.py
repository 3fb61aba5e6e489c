"""Which ids of the config the user of a comparison may override: all whose values do not differ between runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.overrides import check_types, refuse_unknown
from dwskd_monai.commands.compare.methods import Method

_OF_EACH_RUN = {  # ids, and the options of compare that set them
    "seed": "seeds",
    "fold": "folds",
    "train_fraction": "fractions",
    "ckpt_dir": "out",
    "output_dir": "out",
    "checkpoint": "out",
    "training_state": "out",
    "resume": "out",
}


def refuse_unknown_of_methods(folder: Path, methods: Sequence[Method]) -> None:
    """Raise ValueError for an override of a method that its configs do not know; it would change nothing.

    Args:
        folder: of the bundle.
        methods: the methods that are compared.
    """
    for method in methods:
        names = [Path(name).stem for name in (*method.configs, "evaluate.yaml")]
        files = Bundle(folder).config(*names)
        copies = Bundle(folder).config(*names)
        copies.resolve_macro_and_relative_ids()  # a method may change what a macro has copied
        refuse_unknown(method.overrides, [files, copies], f"a setting of the configs that {method.name} is run with")


def grid_bundle(folder: Path, demo: bool, overrides: Mapping[str, Any]) -> Bundle:
    """The bundle with the overrides that hold for all fractions.

    Raises:
        FileNotFoundError: if the folder is not a bundle.
        ValueError: for an unknown override, or one whose value differs between runs; the message names it.
    """
    ids = [key.partition("@")[0] for key in overrides]
    for key in ids:
        if key in _OF_EACH_RUN:
            raise ValueError(
                f"{key}: each run has its own value, which compare makes from --{_OF_EACH_RUN[key]}; leave it out"
            )
    common = {key: value for key, value in overrides.items() if "@" not in key}
    bundle = Bundle(folder, common)
    names = ("train", *(["demo"] if demo else []))
    files = [Bundle(folder).config(*names)]
    refuse_unknown(ids, files, "an option of compare, nor a setting of train.yaml")
    for key, value in overrides.items():
        check_types({key.partition("@")[0]: value}, files)
    return bundle
