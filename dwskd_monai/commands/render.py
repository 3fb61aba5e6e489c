"""The command ``render``."""

from __future__ import annotations

import sys

from dwskd_monai.bundle.render import TEMPLATE
from dwskd_monai.bundle.render import render as render_bundles


def render(bundles: str = "bundles", check: bool = False, template: str | None = None) -> None:
    """Write the bundles' files from the template that they share.

    Args:
        bundles: folder of the bundles.
        check: write nothing, and end with exit code 2 if a file differs from what would be written.
        template: folder of the headers and bodies; this package's by default.
    """
    changed = render_bundles(str(bundles), check, TEMPLATE if template is None else template)
    sys.stdout.write("".join(f"{path}\n" for path in changed) or "all files are as rendered\n")
