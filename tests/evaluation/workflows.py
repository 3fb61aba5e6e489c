"""Running a bundle's configs in this process."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from monai.bundle import ConfigWorkflow

from tests.bundles.commands import SMALL_SETTINGS


def run_configs(bundle: Path, *names: str, **settings: Any) -> None:
    """Run configs, one laid over the other, as ``monai.bundle run`` does, with a small network."""
    files = [str(bundle / "configs" / f"{name}.yaml") for name in names]
    workflow = ConfigWorkflow(
        files if len(files) > 1 else files[0],
        logging_file=False,  # it would change how the tests that follow log
        **SMALL_SETTINGS | settings,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()
