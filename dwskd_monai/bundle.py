"""What the bundles' configs need to know about where they are."""

from __future__ import annotations

import sys
from pathlib import Path


def find_bundle_root() -> str:
    """Folder of the bundle that runs.

    ``monai.bundle.run`` puts the bundle's folder on ``sys.path`` before it runs a config, and tells it in no other way;
    so a config that is started from any working directory finds its bundle there. Without it, the working directory.
    """
    for entry in sys.path[1:]:
        if (Path(entry) / "configs" / "metadata.json").is_file():
            return str(Path(entry).resolve())
    return str(Path.cwd())
