"""Each command that a page shows is one that can be given: its name, its arguments, its options."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import tomllib
from pathlib import Path

import monai.bundle
import pytest
from monai.bundle import ConfigParser

from dwskd_monai.bundle.overrides import knows
from dwskd_monai.bundle.running import OF_TRACKING
from dwskd_monai.cli import COMMANDS
from dwskd_monai.cli import command as command_of
from tests.bundles.test_configs import parser
from tests.conftest import BUNDLES, REPOSITORY
from tests.docs.pages import PAGES, commands, name_of

SHOWN = [(page, command) for page in PAGES for command in commands(page)]
each_command = pytest.mark.parametrize(
    ("page", "command"), SHOWN, ids=[f"{name_of(page)}: {' '.join(command)}"[:150] for page, command in SHOWN]
)
OVERLAYS = ("train", "train_teacher", "evaluate", "evaluate_exported", "against", "combine_students", "multi_gpu_train")


def given(words: list[str]) -> tuple[list[str], dict[str, str | bool]]:
    """Arguments without a name, and options with their values, as fire takes them from words."""
    arguments, options = [], {}
    words = list(words)
    while words:
        word = words.pop(0)
        if not word.startswith("--"):
            arguments.append(word)
            continue
        name, is_whole, value = word[2:].partition("=")
        has_value = not is_whole and words and not words[0].startswith("--")
        options[name] = value if is_whole else words.pop(0) if has_value else True
    return arguments, options


cached_parser = functools.cache(parser)


def configs(bundles: list[Path], names: tuple[str, ...]) -> list[ConfigParser]:
    return [cached_parser(bundle, *names) for bundle in bundles]


def check_known(options: dict, known: list[ConfigParser]) -> None:
    for option in options:
        key = option.split("@")[0]  # compare: for one share of the images
        assert any(knows(config, key) for config in known), f"--{option}"


def check_dwskd(words: list[str]) -> None:
    assert words[0] in COMMANDS
    arguments, options = given(words[1:])
    signature = inspect.signature(command_of(words[0]))
    signature.bind(*arguments, **options)
    more = {name: value for name, value in options.items() if name not in signature.parameters}
    names = {"predict": ("inference",), "evaluate": ("train", "evaluate")}.get(words[0], OVERLAYS)
    check_known(more, configs(BUNDLES, names) + configs(BUNDLES, ("train",)))


def check_monai(words: list[str], page: Path) -> None:
    (name, *arguments), options = given(words)
    if name != "run":
        inspect.signature(getattr(monai.bundle, name)).bind(*arguments, **options)
        return
    files = options.pop("config_file")
    files = ast.literal_eval(files) if files.startswith("[") else [files]
    for file in files:
        folder = Path(file).parent
        assert folder.name in ("configs", "CONFIGS"), f"{file} is not in the configs of a bundle"
    bundles = [page.parents[1]] if page.parents[1] in BUNDLES else BUNDLES
    known = configs(bundles, tuple(Path(file).stem for file in files))
    for argument in arguments:
        assert argument in known[0], f"{argument} is not an id of {files}"
    options = {name: value for name, value in options.items() if name not in (*OF_TRACKING, "tracking")}
    check_known(options, known)


def options_of(script: Path) -> set[str]:
    """Options of a benchmark: what the function that it gives to fire takes, without running it."""
    tree = ast.parse(script.read_text())
    entry = re.search(r"fire\.Fire\((\w+)\)", script.read_text())[1]
    (function,) = (node for node in tree.body if isinstance(node, ast.FunctionDef) and node.name == entry)
    passed_on = {"img_size"} if function.args.kwarg else set()  # of timm's networks
    return passed_on | {argument.arg for argument in function.args.args + function.args.kwonlyargs}


def check_python(words: list[str], page: Path) -> None:
    match words:
        case ["-m", "dwskd_monai", *rest]:
            check_dwskd(rest)
        case ["-m", "monai.bundle", *rest]:
            check_monai(rest, page)
        case ["-c", *_]:
            pass  # what it does to the reply of a server is shown below it
        case [script, *rest]:
            _, options = given(rest)
            assert set(options) <= options_of(REPOSITORY / script)


def check_make(words: list[str]) -> None:
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    variables = set(re.findall(r"^(\w+) :?\??= ?", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    for word in words:
        assert word.split("=")[0] in (variables if "=" in word else targets)


def check_pip(words: list[str]) -> None:
    about = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    for extras in re.findall(r"(?:dwskd_monai|\.)\[([\w,]+)\]", " ".join(words)):
        assert set(extras.split(",")) <= set(about["optional-dependencies"])


@each_command
def test_a_command_of_a_page_can_be_given(page, command):
    match command:
        case ["dwskd", *words]:
            check_dwskd(words)
        case ["torchrun", *words]:
            check_python(words[words.index("-m") :], page)
        case ["python", *words]:
            check_python(words, page)
        case ["make", *words]:
            check_make(words)
        case ["pip", *words]:
            check_pip(words)
        case ["pre-commit", *words]:
            assert words == ["install"]


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("dwskd predict BUNDLE", TypeError),
        ("dwskd phantoms chest_xray DIR --number 60", TypeError),
        ("dwskd guess BUNDLE", AssertionError),
        ("dwskd train BUNDLE --epochs 20", AssertionError),
        ("python -m monai.bundle run --config_file b/configs/inference.yaml --datasetdir DIR", AssertionError),
        ("python -m monai.bundle run trainning --config_file b/configs/train.yaml", AssertionError),
        ("make demonstration", AssertionError),
        ("pip install .[exports]", AssertionError),
    ],
)
def test_one_that_cannot_is_noticed(command, error):
    with pytest.raises(error):
        test_a_command_of_a_page_can_be_given(REPOSITORY / "README.md", command.split())
