"""Command line: ``python -m dwskd_monai COMMAND``."""

from __future__ import annotations

import sys

import fire

from dwskd_monai.bundle import render as render_bundles
from dwskd_monai.data.phantoms import make_phantoms


def phantoms(modality: str, directory: str, count: int | None = None, seed: int = 0) -> None:
    """Write synthetic studies: ``phantoms lung_ct DIR``.

    Args:
        modality: chest_xray, lung_ct or brain_mri.
        directory: a new or empty folder.
        count: number of studies; each modality has its own default.
        seed: the same seed writes the same bytes.
    """
    datalist = make_phantoms(modality, str(directory), count, seed)
    sys.stdout.write(f"phantoms written, listed in {datalist}\n")


def render(bundles: str = "bundles", check: bool = False) -> None:
    """Write the bundles' files from ``bundles/_template``.

    Args:
        bundles: folder with the template and the bundles.
        check: write nothing; end with exit code 2 if a file is not as it would be written.
    """
    changed = render_bundles(str(bundles), check)
    sys.stdout.write("".join(f"{path}\n" for path in changed) or "all files are as rendered\n")


def main(arguments: list[str] | None = None) -> None:
    """Run one command; bad input ends with its message and exit code 2."""
    try:
        fire.Fire({"phantoms": phantoms, "render": render}, command=arguments, name="python -m dwskd_monai")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
