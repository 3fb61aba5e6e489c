"""The command line: ``dwskd COMMAND``, or ``python -m dwskd_monai COMMAND``."""

from __future__ import annotations

import functools
import inspect
import logging
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from importlib import import_module
from typing import Any

import fire
from fire.decorators import SetParseFns

from dwskd_monai.bundle.monai_command import PATHS
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
    "create": ["directory", "classes"],
    "check": ["bundle", "dataset_dir", "unlabeled_dir", "out"],
    "train": ["bundle", "dataset_dir"],
    "calibrate": ["bundle", "dataset_dir", "out"],
    "evaluate": ["bundle", "dataset_dir", "against"],
    "predict": ["bundle", "studies", "out"],
    "card": ["bundle", "metrics", "out", "stated"],
    "compare": ["grid", "bundle"],
    "export": ["bundle", "out"],
    "deploy": ["bundle", "out", "classifier", "metrics"],
    "pack": ["bundle", "out", "metrics"],
    "settings": ["bundle"],
    "suggest": ["bundle", "unlabeled_dir", "dataset_dir", "out"],
    "unpack": ["file", "out"],
}
_PATHS = (*PATHS, "data", "out", "test_dir")  # so do these options of any command


def main(arguments: list[str] | None = None) -> None:
    """Run one command; bad input ends with its message and exit code 2, a list of refused images with 3."""
    logging.basicConfig(format=LOG_FORMAT, datefmt=LOG_TIME)
    logging.getLogger(__package__).setLevel(logging.INFO)
    words = sys.argv[1:] if arguments is None else arguments
    asked = [name for name in COMMANDS if words[:1] == [name]] or list(COMMANDS)
    texts: Mapping[str, Sequence[str]] = TEXTS
    if "-h" in words or "--help" in words:  # a command with free options would get it from fire as one of them
        words = [*(asked if len(asked) == 1 else []), "--", "--help"]
        texts = {}  # fire's help would list how it parses them as a group of commands
    try:
        words = _with_texts(words, {*_PATHS} - {text for name in asked for text in texts.get(name, ())})
        functions = {name: _taking_words(command(name), texts.get(name, ())) for name in asked}
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


def _with_texts(words: Sequence[str], options: Collection[str]) -> list[str]:
    """The words of a command line, in which values of options are written as fire takes them for texts.

    Examples:
        >>> _with_texts(["train", "B", "--unlabeled_dir", "20241105", "--seed", "1"], ["unlabeled_dir"])
        ['train', 'B', '--unlabeled_dir', "'20241105'", '--seed', '1']
    """
    written: list[str] = []
    for word, before in zip(words, ["", *words], strict=False):
        option, is_one_word, value = word.partition("=")
        if before.lstrip("-") in options and before.startswith("--") and not word.startswith("--"):
            written.append(_as_text(word))
        elif is_one_word and option.startswith("--") and option.lstrip("-") in options:
            written.append(f"{option}={_as_text(value)}")
        else:
            written.append(word)
    return written


def _as_text(value: str) -> str:
    return value if value == "None" else repr(value)


def _taking_words(function: Callable[..., None], texts: Sequence[str] = ()) -> Callable[..., None]:
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

    return SetParseFns(**dict.fromkeys(texts, str))(with_values) if texts else with_values
