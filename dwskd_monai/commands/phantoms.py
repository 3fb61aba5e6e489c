"""The command ``phantoms``."""

from __future__ import annotations

import sys


def phantoms(modality: str, directory: str, count: int | None = None, seed: int = 0) -> None:
    """Write synthetic studies: ``phantoms lung_ct DIR``.

    Args:
        modality: chest_xray, lung_ct or brain_mri.
        directory: a new or empty folder.
        count: how many studies; each modality has its own default.
        seed: the same seed writes the same bytes.
    """
    from dwskd_monai.data.phantoms import make_phantoms

    datalist = make_phantoms(modality, str(directory), count, seed)
    sys.stdout.write(f"phantoms written, listed in {datalist}\n")
