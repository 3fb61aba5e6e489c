"""The bundle that runs, as its configs ask for it."""

from __future__ import annotations

import inspect
import sys
from pathlib import Path

from monai.bundle import ConfigWorkflow


def find_bundle_root() -> str:
    """Folder of the bundle that runs.

    ``monai.bundle`` tells a config nowhere where it lies, and a command may be started from any working directory. The
    workflow that is evaluating the config knows, and is found among the callers; a workflow that has begun to run has
    put the bundle's folder on ``sys.path``. Without either, the working directory.
    """
    for entry in (*_folder_of_the_calling_workflow(), *sys.path[1:]):
        if (Path(entry) / "configs" / "metadata.json").is_file():
            return str(Path(entry).resolve())
    return str(Path.cwd())


def _folder_of_the_calling_workflow() -> list[str]:
    frame = inspect.currentframe()
    while frame is not None:
        workflow = frame.f_locals.get("self")
        if isinstance(workflow, ConfigWorkflow):
            return [str(Path(workflow.config_root_path).resolve().parent)]
        frame = frame.f_back
    return []
