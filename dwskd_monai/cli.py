"""The command line: ``dwskd COMMAND``, or ``python -m dwskd_monai COMMAND``."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import Any

import fire
from fire.decorators import SetParseFns

from dwskd_monai.bundle.words import as_values, checked_type

BAD_INPUT = 2  # exit code
INTERRUPTED = 130  # exit code: what a shell makes of Ctrl-C
LOG_FORMAT = "%(asctime)s %(levelname)s %(message)s"  # as in logging.conf of the bundles
LOG_TIME = "%H:%M:%S"
# The module of ``commands`` that has a function of the command's name. Imports that take seconds, of torch and MONAI,
# are inside the function, so that --help is quick.
COMMANDS = {
    "create": "create.command",
    "check": "check.command",
    "train": "train",
    "calibrate": "calibrate.command",
    "evaluate": "evaluate",
    "predict": "predict",
    "card": "card.command",
    "suggest": "suggest.command",
    "compare": "compare.command",
    "export": "export.command",
    "deploy": "deploy.command",
    "pack": "pack.command",
    "phantoms": "phantoms",
    "render": "render",
    "select": "select.command",
    "settings": "settings",
    "unpack": "pack.command",
}
# Options that stay text: a class may be called "true" or "1.0", a folder "20241105"
TEXTS = {
    "create": ["classes"],
    "check": ["dataset_dir", "unlabeled_dir", "out"],
    "train": ["dataset_dir"],
    "calibrate": ["dataset_dir", "out"],
    "evaluate": ["dataset_dir", "against"],
    "predict": ["studies", "out"],
    "card": ["bundle", "metrics", "out", "stated"],
    "deploy": ["out", "classifier", "metrics"],
    "suggest": ["bundle", "unlabeled_dir", "dataset_dir", "out"],
}
# Settings of a bundle's configs that name a file or a folder, for commands that take any setting
PLACES = (
    "unlabeled_dir", "held_out_dir", "output_dir", "ckpt_dir", "checkpoint", "training_state", "cache_dir",
    "teacher_weights",
)  # fmt: skip


def main(arguments: list[str] | None = None) -> None:
    """Run one command; bad input ends with its message and exit code 2, a list of refused images with 3."""
    logging.basicConfig(format=LOG_FORMAT, datefmt=LOG_TIME)
    logging.getLogger(__package__).setLevel(logging.INFO)
    words = sys.argv[1:] if arguments is None else arguments
    asked = [name for name in COMMANDS if words[:1] == [name]] or list(COMMANDS)
    takes_words = _taking_words
    if "-h" in words or "--help" in words:  # a command with free options would get it from fire as one of them
        words = [*(asked if len(asked) == 1 else []), "--", "--help"]
        takes_words = _as_they_are  # fire's help would list how it parses them as a group of commands
    try:
        functions = {name: takes_words(command(name), TEXTS.get(name, ())) for name in asked}
        fire.Fire(functions, command=words, name="dwskd")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(getattr(error, "exit_code", BAD_INPUT))
    except KeyboardInterrupt:
        sys.stderr.write("stopped by Ctrl-C\n")
        sys.exit(INTERRUPTED)


def command(name: str) -> Callable[..., None]:
    """The function of a command; its parameters are the command's options."""
    function: Callable[..., None] = getattr(import_module(f"dwskd_monai.commands.{COMMANDS[name]}"), name)
    return function


def _taking_words(function: Callable[..., None], texts: Sequence[str]) -> Callable[..., None]:
    """``function``, called with the values that the words of a command line stand for.

    Args:
        function: of a command.
        texts: the options that stay as they were typed.
    """
    parameters = inspect.signature(function).parameters

    @functools.wraps(function)
    def with_values(*args: Any, **options: Any) -> None:
        given = inspect.signature(function).bind(*args, **options)
        for name, value in given.arguments.items():
            given.arguments[name] = value if name in texts else as_values(value)
            checked_type(name, given.arguments[name], parameters[name].default)
        function(*given.args, **given.kwargs)

    return SetParseFns(**dict.fromkeys(PLACES, _place) | dict.fromkeys(texts, str))(with_values)


def _as_they_are(function: Callable[..., None], texts: Sequence[str]) -> Callable[..., None]:
    return function


def _place(word: str) -> str | None:
    return None if word == "None" else word
