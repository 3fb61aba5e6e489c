"""Command line: ``python -m dwskd_monai COMMAND``."""

from __future__ import annotations

import sys

import fire

from dwskd_monai.data.phantoms import make_phantoms


def phantoms(modality: str, directory: str, count: int = 240, seed: int = 0) -> None:
    """Write synthetic studies: ``phantoms chest_xray DIR``.

    Args:
        modality: chest_xray.
        directory: a new or empty folder.
        count: number of images.
        seed: the same seed writes the same bytes.
    """
    datalist = make_phantoms(modality, str(directory), count, seed)
    sys.stdout.write(f"{count} images written, listed in {datalist}\n")


def main(arguments: list[str] | None = None) -> None:
    """Run one command; bad input ends with its message and exit code 2."""
    try:
        fire.Fire({"phantoms": phantoms}, command=arguments, name="python -m dwskd_monai")
    except (ValueError, OSError) as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)


if __name__ == "__main__":
    main()
