"""A new virtual environment that has some packages and what they need, and nothing else."""

from __future__ import annotations

import os
import shutil
import venv
from collections.abc import Iterator
from importlib.metadata import Distribution, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def new_environment(folder: Path, *packages: str) -> Path:
    """Make an environment of the ``packages`` as they are installed here, and return its Python.

    Their files are linked, not installed once more: torch with its CUDA packages is 5 GB, and a test needs no network.
    """
    venv.create(folder, with_pip=False)
    (site_packages,) = folder.glob("lib/python*/site-packages")
    for package in _with_their_needs(packages):
        for file in package.files or ():
            target = site_packages / file
            if ".." not in file.parts and not target.exists():  # scripts start another Python; some are listed twice
                target.parent.mkdir(parents=True, exist_ok=True)
                _link_or_copy(Path(str(package.locate_file(file))), target)
    return folder / "bin" / "python"


def _with_their_needs(packages: tuple[str, ...]) -> Iterator[Distribution]:
    waiting, seen = [Requirement(package) for package in packages], set()
    while waiting:
        needed = waiting.pop()
        for extra in ("", *needed.extras):
            if (name := (canonicalize_name(needed.name), extra)) in seen:
                continue
            seen.add(name)
            found = distribution(needed.name)
            if not extra:
                yield found
            for requirement in map(Requirement, found.requires or ()):
                if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                    waiting.append(requirement)


def _link_or_copy(source: Path, target: Path) -> None:
    try:
        os.link(source, target)
    except OSError:  # on another disk
        shutil.copy2(source, target)
