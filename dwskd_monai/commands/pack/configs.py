"""The configs of a packed bundle: with the settings of the training, and readable by MONAI without this package."""

from __future__ import annotations

import copy
import json
import logging
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from typing import Any

import yaml
from monai.bundle import ConfigParser

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.commented_yaml import as_text, read_commented, set_id
from dwskd_monai.bundle.decisive import ROOTS, decisive_settings
from dwskd_monai.bundle.overrides import knows
from dwskd_monai.bundle.places import PLACES
from dwskd_monai.bundle.trained_settings import TrainedSettings
from dwskd_monai.bundle.training_config import settings_to_repeat, was_edited
from dwskd_monai.inference_code import PACKAGE, SCRIPTS

SAMPLE = "sample"
_NO_DATA = "/path/to/dataset"  # that of the training has no meaning elsewhere; a folder that is there would be read
_OF_THE_SERVER = ("unlabeled_dir", "held_out_dir")
_SAMPLE_DIR = f"$@bundle_root + '/{SAMPLE}'"
_logger = logging.getLogger(__name__)
_TARGET = re.compile(rf"^{PACKAGE}(?=\.)")


def packed_configs(bundle: Bundle, settings: TrainedSettings) -> dict[str, str]:
    """Texts of all configs by their path in the bundle: YAML with its comments, and the same as JSON.

    Inference uses the code in ``scripts`` and, if no other images are named, classifies the sample. Training begins
    with the settings that the network was trained with; if this package is missing, it says which version is needed.
    If the network is the mean of two students, ``train`` is there as YAML only.

    Args:
        bundle: the bundle; its overrides are settings for later trainings.
        settings: those that the network was trained with.

    Raises:
        ValueError: if an override is a folder that a later training would need, but may not find, or if train.yaml has
            changed since the training.
    """
    for key in _OF_THE_SERVER:
        value = bundle.overrides.get(key)
        if value is not None and not _refers(value):
            raise ValueError(
                f"{key}: {value} may not be there where the packed bundle is trained; set {key} at the top of its "
                'configs/train.json, or give unlabeled_dir: "@monai_label_studies"'
            )
    _refuse_another_config(bundle, settings)
    texts = {path.stem: path.read_text(encoding="utf-8") for path in sorted((bundle.folder / "configs").glob("*.yaml"))}
    contents = {name: read_commented(text) for name, text in texts.items()}
    _prepare_training(contents["train"], bundle, settings)
    _prepare_inference(contents["inference"], bundle, settings)
    files = {}
    for name, content in contents.items():
        text = texts[name] if name not in ("train", "inference") else as_text(content)
        files[f"configs/{name}.yaml"] = text
        files[f"configs/{name}.json"] = json.dumps(yaml.safe_load(text), indent=2) + "\n"
    if settings.deploys_both:  # monai.bundle.load would make one student of it, and silently load no weights
        del files["configs/train.json"]
    return files


def _refuse_another_config(bundle: Bundle, settings: TrainedSettings) -> None:
    """What the training took from train.yaml is not recorded; it must be there still, or be recorded."""
    if was_edited(settings.origin, bundle.folder, settings):
        raise ValueError(
            f"{bundle.folder / 'configs' / 'train.yaml'}: its settings are not those of the training, which the packed "
            "bundle would have; put them back as they were, or train the bundle again"
        )
    for key in settings.origin.get("not_recorded", ()):
        _logger.warning("%s was set to a path in the training, so it is not packed; later trainings go without it", key)


def targets(settings: TrainedSettings, inference: str) -> list[str]:
    """What inference instantiates from this package: in the text of its config, and in the settings of the training."""
    found = {*_targets_in(yaml.safe_load(inference)), *_targets_in(settings["study_transforms"])}
    return sorted(target for target in found if _TARGET.match(target))


def _prepare_training(content: Any, bundle: Bundle, settings: TrainedSettings) -> None:
    """Let a later training begin with the settings of this one."""
    _set_known(content, settings_to_repeat(settings.origin["overrides"], bundle.folder) | bundle.overrides)
    set_id(content, "dataset_dir", _NO_DATA)
    # What another config has set, or train.yaml has changed since: single settings first, then roots that still differ
    for keys in ([key for key in settings if key not in ROOTS], ROOTS):
        now = decisive_settings(_parsed(content, bundle))
        for key in keys:
            if key in content and now.get(key) != settings[key]:
                set_id(content, key, copy.deepcopy(settings[key]))
    for name in ("drop_path_rate", "img_size"):  # this package would find these out; monai.bundle.load does not have it
        set_id(content, f"network_def#{name}", settings["network_def"].get(name))
    content["train"]["unlabeled"]["required"] = False  # all studies of MONAI Label's server may have labels
    run = content["run"]
    first = f"{PACKAGE}.bundle.prepare_run"
    if run[0].get("_target_") != first:
        raise ValueError(f"train.yaml: expected run to begin with {first}")
    needed = version(PACKAGE)
    needs = f"training needs {PACKAGE} {needed}: pip install {PACKAGE}=={needed}, or from its repository"
    run.insert(0, f"$monai.utils.optional_import('{PACKAGE}.bundle', descriptor='{needs}')[0].prepare_run")


def _prepare_inference(content: Any, bundle: Bundle, settings: TrainedSettings) -> None:
    """Write the network into the config itself: ``monai.bundle.load`` cannot import what travels with it.

    The mean of two students is not a network of timm, so its class must travel.
    """
    _set_known(content, {key: value for key, value in bundle.overrides.items() if not settings.decides(key)})
    if not settings.deploys_both:
        content["network_def"] = copy.deepcopy(settings["network_def"])
    set_id(content, "dataset_dir", _SAMPLE_DIR)
    _take_from_scripts(content)


def _set_known(content: Any, overrides: Mapping[str, Any]) -> None:
    """Set ids that a config has; paths on this machine are left out."""
    for key, value in overrides.items():
        if knows(ConfigParser(content), key) and (key not in PLACES or value is None or _refers(value)):
            set_id(content, key, value)


def _refers(value: Any) -> bool:
    return str(value).startswith(("@", "$"))


def _take_from_scripts(content: Any) -> None:
    if isinstance(content, Mapping):
        for key, value in content.items():
            if key == "_target_":
                content[key] = _TARGET.sub(SCRIPTS, value)  # type: ignore[index]
            else:
                _take_from_scripts(value)
    elif isinstance(content, list):
        for item in content:
            _take_from_scripts(item)


def _targets_in(content: Any) -> Iterator[str]:
    if isinstance(content, Mapping):
        if "_target_" in content:
            yield content["_target_"]
        for value in content.values():
            yield from _targets_in(value)
    elif isinstance(content, list):
        for value in content:
            yield from _targets_in(value)


def _parsed(content: Any, bundle: Bundle) -> ConfigParser:
    parser = ConfigParser(yaml.safe_load(as_text(content)))
    parser["_meta_"] = bundle.metadata
    return parser
