"""A bundle's configs as they are packed: with what was set for its network, and so that MONAI reads them alone."""

from __future__ import annotations

import json
import re
from importlib.metadata import version
from typing import Any

import yaml
from monai.bundle import ConfigParser

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.overrides import knows
from dwskd_monai.commands.pack.inference_code import PACKAGE, SCRIPTS

SAMPLE = "sample"
_ALONE = ("inference", "train")  # the others are laid over train
_TARGET = re.compile(rf"(?<=_target_: ){PACKAGE}(?=\.)")
_SAMPLE_DIR = f"$@bundle_root + '/{SAMPLE}'"


def packed_configs(bundle: Bundle) -> dict[str, str]:
    """Texts of all configs by their path in the bundle: YAML as it is, with its comments, and the same as JSON.

    Inference is run by the code in ``scripts`` and classifies the sample where no other images are named. Training says
    which version of this package it needs where that is missing.

    Args:
        bundle: with what the network was trained with as overrides.

    Raises:
        ValueError: for an override of a setting whose value has several lines in the config.
    """
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted((bundle.folder / "configs").glob("*.yaml"))}
    parsers = {name: ConfigParser(yaml.safe_load(texts[name])) for name in _ALONE}
    for key, value in bundle.overrides.items():
        for name in _ALONE:
            if knows(parsers[name], key):
                texts[name] = _set(texts[name], key, value)
    texts["inference"] = _set(_TARGET.sub(SCRIPTS, texts["inference"]), "dataset_dir", _SAMPLE_DIR)
    texts["train"] = _asking_for_the_package(texts["train"])
    files = {}
    for name, text in texts.items():
        content = _merged(text) if name in _ALONE else yaml.safe_load(text)
        files[f"configs/{name}.yaml"] = text
        files[f"configs/{name}.json"] = json.dumps(content, indent=2) + "\n"
    return files


def targets(text: str) -> list[str]:
    """What a config's text instantiates from this package."""
    return sorted(set(re.findall(rf"_target_: ({PACKAGE}\.[\w.]+)", text)))


def _set(text: str, key: str, value: Any) -> str:
    """The text with another value of a key; a comment behind it stays. Nested keys are set at the end."""
    line = re.compile(rf"^{re.escape(key)}:[ ]+[^#\n]*?(?P<comment>[ ]*#[^\n]*)?$", re.MULTILINE)
    found = line.search(text)
    if found is None:
        changed = f"{text}{key}: {json.dumps(value)}     # set when it was packed\n"
    else:
        changed = f"{text[: found.start()]}{key}: {json.dumps(value)}{found['comment'] or ''}{text[found.end() :]}"
    expected = ConfigParser(_merged(text))
    expected[key] = value
    try:
        if _merged(changed) == expected.get():
            return changed
    except yaml.YAMLError:
        pass
    raise ValueError(f"{key}: its value in the config has several lines, give the keys below it: {key}#…")


def _asking_for_the_package(text: str) -> str:
    """Before anything else of a training, an import that says what to install."""
    ours = version(PACKAGE)
    needs = f"training needs {PACKAGE} {ours}: pip install {PACKAGE}=={ours}, or from its repository"
    check = f"- \"$monai.utils.optional_import('{PACKAGE}.bundle', descriptor='{needs}')[0].prepare_run()\"\n"
    first = f"- _target_: {PACKAGE}.bundle.prepare_run\n"
    if text.count(f"run:\n{first}") != 1:
        raise ValueError(f"train.yaml: expected run to begin with {PACKAGE}.bundle.prepare_run")
    return text.replace(f"run:\n{first}", f"run:\n{check}")


def _merged(text: str) -> dict[str, Any]:
    """The content, with keys such as ``a#b`` where they belong."""
    parser = ConfigParser({})
    for key, value in yaml.safe_load(text).items():
        parser[key] = value
    content: dict[str, Any] = parser.get()
    return content
