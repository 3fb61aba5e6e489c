"""The bundle that runs: where it lies, what was overridden, and how an error of it ends.

``monai.bundle`` tells a config nowhere which workflow evaluates it. The callers of a config's function know: the
workflow, and the command that made it with its overrides. This module is the only one that looks for them.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any

import monai.bundle.scripts
from monai.bundle import ConfigParser, ConfigWorkflow

from dwskd_monai.bundle.errors import end_with_one_message
from dwskd_monai.bundle.overrides import check_types, refuse_unknown
from dwskd_monai.bundle.words import as_values, has_words

_METADATA = "_meta_"
# What --tracking adds to the config, and lets a user override; MONAI Label gives them with and without tracking
_OF_TRACKING = ("tracking_uri", "experiment_name", "run_name", "save_execute_config")


def find_bundle_root() -> str:
    """Folder of the bundle that runs.

    A command may be started from any working directory. The workflow that is evaluating the config knows; one that has
    begun to run has put the bundle's folder on ``sys.path``. Without either, the working directory.
    """
    workflow = _running_workflow()
    folders = [] if workflow is None else [str(Path(workflow.config_root_path).resolve().parent)]
    for folder in (*folders, *sys.path[1:]):
        if (Path(folder) / "configs" / "metadata.json").is_file():
            return str(Path(folder).resolve())
    return str(Path.cwd())


def prepare_run() -> None:
    """What each run of a bundle begins with.

    - A command line has words only: ``--resume false`` gives the text ``"false"``, which Python takes for true, and
      ``--cache_dir null`` the text ``"null"``. They become the values that YAML has for them, so that no constructor
      needs to know that there is a command line.
    - An override that no config knows is refused, with the nearest id that there is; MONAI would ignore it.
    - An error ends the run with one message (:func:`~dwskd_monai.bundle.errors.end_with_one_message`).

    Raises:
        ValueError: for an override that is unknown, or of another type than the setting.
    """
    workflow = _running_workflow()
    if workflow is None:  # a config that somebody evaluates without a workflow, such as a server
        return
    end_with_one_message(workflow.parser)
    call = _call_of_run()
    if call is None or call["config_file"] is None:
        return
    overrides: Mapping[str, Any] = call["override"]
    _put_values(workflow.parser, overrides)
    files = ConfigParser()  # as they are, nothing overridden
    files.read_config(call["config_file"])
    ids = [key for key in overrides if key not in _OF_TRACKING]
    refuse_unknown(ids, [files], f"a setting of {_names(call['config_file'])}")
    check_types({key: workflow.parser[key] for key in overrides if key in workflow.parser}, [files])


def _put_values(parser: ConfigParser, overrides: Mapping[str, Any]) -> None:
    """Words become values, and what was overridden with None becomes that; MONAI leaves such an override out."""
    nothing = [key for key, value in overrides.items() if value is None and key in parser]
    if not nothing and not has_words(overrides.values()):
        return
    # the whole config, since a macro may have copied what was overridden; a class may be called "true", though
    parser.set({key: value if key == _METADATA else as_values(value) for key, value in parser.get().items()})
    for key in nothing:
        parser[key] = None
    parser.parse(reset=True)


def _names(config_file: str | Sequence[str]) -> str:
    paths = [config_file] if isinstance(config_file, str) else config_file
    return ", ".join(Path(path).name for path in paths)


def _running_workflow() -> ConfigWorkflow | None:
    """The workflow that is evaluating the config whose function was called."""
    for frame in _callers():
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            return workflow
    return None


def _call_of_run() -> Mapping[str, Any] | None:
    """The arguments of ``python -m monai.bundle run``, if that is what runs."""
    for frame in _callers():
        if frame.f_code is monai.bundle.scripts.run.__code__:
            return frame.f_locals
    return None


def _callers() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
