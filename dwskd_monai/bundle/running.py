"""The bundle that runs: where it is, what was overridden, and how it reports an error.

``monai.bundle`` does not tell a config which workflow evaluates it. The callers of a config's function know: the
workflow, and the command that made the workflow with its overrides. Only this module looks for these callers.
"""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, TypeVar

import monai.bundle.scripts
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.utils import ensure_tuple

from dwskd_monai.bundle.classes import class_names_of
from dwskd_monai.bundle.config_files import ConfigFiles
from dwskd_monai.bundle.decisive import put_back_taken_roots, used_roots
from dwskd_monai.bundle.errors import end_with_one_message, parsed_content
from dwskd_monai.bundle.lock import require_alone
from dwskd_monai.bundle.overrides import (
    check_types,
    knows,
    nearest_known,
    parts_of,
    refuse_unknown,
    settings_of_files,
    settings_of_workflow,
)
from dwskd_monai.bundle.places import PLACES
from dwskd_monai.bundle.words import as_values, has_words, refuse_fractions
from dwskd_monai.class_order import in_order
from dwskd_monai.files import set_aside
from dwskd_monai.folders import require_writable

_READ = ("dataset_dir", "unlabeled_dir", "held_out_dir", "against")
_WRITTEN = ("output_dir", "ckpt_dir", "cache_dir")  # those of them that a run writes to
_Caller = TypeVar("_Caller")
_METADATA = "_meta_"
_TRAINED = "trained"  # the id under which a config has the settings of a network that was trained
# What --tracking adds to the config, and lets a user override; MONAI Label gives them with and without tracking
OF_TRACKING = ("tracking_uri", "experiment_name", "run_name", "save_execute_config", "is_not_rank0")


def find_bundle_root() -> str:
    """Find the folder of the bundle that runs.

    A command may be started from any working directory. The folder is known to the workflow that is evaluating the
    config, or to the command of ``monai.bundle`` that was given the config's file; a workflow that has begun to run has
    put the folder on ``sys.path``. If none of these exists, it is the working directory.
    """
    for folder in (*_folders_of_configs(), *sys.path[1:]):
        if (Path(folder) / "configs" / "metadata.json").is_file():
            return str(Path(folder).resolve())
    return str(Path.cwd())


def prepare_run(results: Sequence[str] = (), alone_in: Sequence[str | Path] = ()) -> None:
    """Prepare a run; each config of a bundle begins with this.

    - It is refused if another run writes to the same folders, or if they cannot be written to.
    - Results of an earlier run that lie where this run will write its own are renamed to ``<stem>.previous<suffix>``:
      however this run ends, nobody takes them for its results.

    - A command line has only words: ``--resume false`` gives the text ``"false"``, which Python takes for true, and
      ``--cache_dir null`` gives the text ``"null"``. These words become the values that they have in YAML, so that no
      constructor needs to know about the command line.
    - An override that no config knows is refused, with the nearest known id; MONAI would ignore it.
    - A setting that contradicts what the network was trained with is refused, if the config uses a trained one.
    - An error ends the run with one message (:func:`~dwskd_monai.bundle.errors.end_with_one_message`).

    Args:
        results: names of the files that the run makes in its ``output_dir``.
        alone_in: folders that no other run may use at the same time.

    Raises:
        BlockingIOError: if another process runs in one of the folders.
        UnusableFolderError: if a folder cannot be written to.
        FileNotFoundError: if the config uses a network that has not been trained yet.
        ValueError: for an override that is unknown, has another type than the setting, or contradicts the training; for
            weights without their settings.
    """
    workflow = _running_workflow()
    if workflow is None:  # a config that somebody evaluates without a workflow, such as a server
        return
    end_with_one_message(workflow.parser, workflow)
    _require_writable_folders(workflow.parser, alone_in)
    for folder in alone_in:
        if Path(folder).is_dir():  # a folder that is not there yet is made once the settings are right
            require_alone(folder, workflow)
    for name in results:
        set_aside(Path(str(workflow.parser.get_parsed_content("output_dir"))) / name)
    call = _call_of_run()
    if call is None or call["config_file"] is None:
        _check_without_call(workflow)
    else:
        _check(workflow, call)
    refuse_fractions(workflow.parser.get())
    for folder in alone_in:
        require_alone(folder, workflow)


def _require_writable_folders(parser: ConfigParser, alone_in: Sequence[str | Path]) -> None:
    for key in (key for key in _WRITTEN if key in parser):
        folder = as_values(parsed_content(parser, key))
        if folder is not None and (key == "cache_dir" or folder in alone_in):  # an evaluation only reads ckpt_dir
            require_writable(key, folder)


def _check(workflow: ConfigWorkflow, call: Mapping[str, Any]) -> None:
    """Check what a command of ``monai.bundle`` was given, and let words be the values that they stand for."""
    overrides: Mapping[str, Any] = call["override"]
    inside = [key for key in overrides if parts_of(key)[0] == _TRAINED]
    if inside:
        raise ValueError(f"{inside[0]}: what a network was trained with cannot be set; --checkpoint names its weights")
    _put_values(workflow.parser, overrides)
    _keep_number_signs(workflow.parser, overrides)
    files = ConfigFiles()  # as they are in the files, nothing overridden
    files.read_config(call["config_file"])
    ids = [key for key in overrides if key not in OF_TRACKING]
    known = [files]
    if _TRAINED in workflow.parser:
        trained = parsed_content(workflow.parser, _TRAINED)
        given = settings_of_files(ensure_tuple(call["config_file"])) | as_values(overrides)
        trained.check_use(given | used_roots(workflow.parser), _class_names(workflow.parser))
        put_back_taken_roots(workflow.parser)
        known = [files, ConfigParser(dict(trained))]
    refuse_unknown(ids, known, f"a setting of {_names(call['config_file'])}")
    check_types({key: workflow.parser[key] for key in overrides if key in workflow.parser}, [files])


def _keep_number_signs(parser: ConfigParser, overrides: Mapping[str, Any]) -> None:
    """MONAI takes ``#`` in any text for its old ``::``; a path of images keeps it, others are refused.

    Raises:
        ValueError: for any other path with a ``#``.
    """
    for key in (name for name in PLACES if "#" in str(overrides.get(name, ""))):
        if key not in _READ:
            raise ValueError(f"{key}: MONAI cannot take {overrides[key]}, a path with #; choose another folder")
        parser[key] = Path(overrides[key])  # MONAI changes texts only
        parser.parse(reset=True)


def _check_without_call(workflow: ConfigWorkflow) -> None:
    """Check a workflow that Python code made; its overrides are found by comparing it with the bundle's configs.

    Its code may have added settings of its own, so an unknown one is refused only if it is like a known one.
    """
    parser = workflow.parser
    _put_values(parser, {})
    configs = _configs_in(Path(workflow.config_root_path))
    known = [*configs.values()]
    if _TRAINED in parser:
        trained = parsed_content(parser, _TRAINED)
        known.append(ConfigParser(dict(trained)))
        given = settings_of_workflow(parser, configs.get("train", ConfigParser({})))
        trained.check_use(given | used_roots(parser), _class_names(parser))
        put_back_taken_roots(parser)
    for key in parser.get():
        if not key.startswith("_") and key not in OF_TRACKING and not any(knows(one, key) for one in known):
            nearest = nearest_known(key, known)
            if nearest:
                raise ValueError(f"{key} is not a setting of the bundle's configs; did you mean {nearest}?")


def _configs_in(folder: Path) -> dict[str, ConfigParser]:
    """The configs of a bundle, by their names without suffix."""
    files = [path for path in sorted(folder.iterdir()) if path.suffix in (".yaml", ".json")]
    return {
        file.stem: ConfigParser(ConfigFiles.load_config_file(str(file))) for file in files if file.stem != "metadata"
    }


def _put_values(parser: ConfigParser, overrides: Mapping[str, Any]) -> None:
    """Words become values, and a setting that was overridden with None becomes None; MONAI ignores that override."""
    nothing = [key for key, value in overrides.items() if value is None and key in parser]
    if not nothing and not has_words(overrides.values()):
        return
    # the whole config, since a macro may have copied what was overridden; a class may be called "true", though
    parser.set({key: value if key == _METADATA else as_values(value) for key, value in parser.get().items()})
    for key in nothing:
        parser[key] = None
    parser.parse(reset=True)


def files_of_run() -> list[str]:
    """The config files of the run; none if no command runs."""
    call = _call_of_run()
    if call is None or call["config_file"] is None:
        return []
    return [str(file) for file in ensure_tuple(call["config_file"])]


def overrides_of_run() -> dict[str, Any]:
    """What the command line of the run sets, as values; nothing if no command runs."""
    call = _call_of_run()
    return {} if call is None else dict(as_values(call["override"]))


def evaluating_parser() -> ConfigParser | None:
    """The config that is evaluating the function whose caller asks; None outside of a config."""
    return _calling(ConfigParser)


def _names(config_file: str | Sequence[str]) -> str:
    paths = [config_file] if isinstance(config_file, str) else config_file
    return ", ".join(Path(path).name for path in paths)


def _running_workflow() -> ConfigWorkflow | None:
    """The workflow that is evaluating the config whose function was called."""
    return _calling(ConfigWorkflow)


def _calling(kind: type[_Caller]) -> _Caller | None:
    """The nearest object of a kind among those whose methods are running."""
    for frame in _callers():
        caller = frame.f_locals.get("self")
        if isinstance(caller, kind):
            return caller
    return None


def _folders_of_configs() -> list[str]:
    """Folders of bundles whose config is being evaluated, by a workflow or another command of ``monai.bundle``."""
    folders = []
    for frame in _callers():
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            folders.append(Path(workflow.config_root_path))
        elif frame.f_globals is vars(monai.bundle.scripts) and frame.f_locals.get("config_file_"):
            folders += [Path(file).parent for file in ensure_tuple(frame.f_locals["config_file_"])]
    # configs may be a link to those of another bundle, whose folder is not meant
    return [str(Path(os.path.normpath(folder.absolute())).parent.resolve()) for folder in folders]


def _class_names(parser: ConfigParser) -> list[list[str]]:
    """What the metadata and the config name the classes."""
    names = []
    metadata = parser.get(_METADATA)
    if metadata:
        names.append(class_names_of(metadata))
    if "class_names" in parser:
        names.append(in_order(parsed_content(parser, "class_names")))
    return names


def _call_of_run() -> Mapping[str, Any] | None:
    """The config files and overrides of ``monai.bundle``'s ``run`` or ``run_workflow``, if that is what runs."""
    for frame in _callers():
        given = frame.f_locals
        if frame.f_code is monai.bundle.scripts.run.__code__:
            options = inspect.signature(monai.bundle.run).parameters
            return _call({"config_file": given["config_file"], **given["override"]}, given["args_file"], options)
        if frame.f_code is monai.bundle.scripts.run_workflow.__code__:
            options = inspect.signature(ConfigWorkflow).parameters
            return _call(given["kwargs"], given["args_file"], [*options, "workflow_name"])
    return None


def _call(given: Mapping[str, Any], args_file: str | None, options: Iterable[str]) -> dict[str, Any]:
    """A command's config files and overrides, from its options and from its file of options."""
    args = {} if args_file is None else dict(ConfigParser.load_config_file(str(args_file)))
    both = {**args, **{key: value for key, value in given.items() if key != "config_file" or value is not None}}
    override = {key: value for key, value in both.items() if key not in options}
    return {"config_file": both.get("config_file"), "override": override}


def _callers() -> Iterator[FrameType]:
    frame = inspect.currentframe()
    while frame is not None:
        yield frame
        frame = frame.f_back
