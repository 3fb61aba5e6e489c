"""The pages of the repository, and what their code blocks hold."""

from __future__ import annotations

import re
import shlex
import sys
from pathlib import Path

from tests.conftest import BUNDLES, REPOSITORY

sys.path.insert(0, str(REPOSITORY / "docs"))  # _site, which completes the pages for the site

PAGES = [
    REPOSITORY / "README.md",
    REPOSITORY / "CONTRIBUTING.md",
    REPOSITORY / "benchmarks" / "RESULTS.md",
    *sorted((REPOSITORY / "docs").rglob("*.md")),
    *(bundle / "docs" / "README.md" for bundle in BUNDLES),
]
_BLOCK = re.compile(r"^ *```(?P<language>\w*)\n(?P<code>.*?)^ *```$", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"^ *(?:\$ )?(?:\w+=\S+ )*(?P<command>(?:dwskd|python|torchrun|make|pip|pre-commit)\b.*)$")


def name_of(page: Path) -> str:
    return page.relative_to(REPOSITORY).as_posix()


def blocks(page: Path, language: str) -> list[str]:
    return [block["code"] for block in _BLOCK.finditer(page.read_text()) if block["language"] == language]


def commands(page: Path) -> list[list[str]]:
    """The words of each command that a page shows; what a command prints is left out."""
    lines = "\n".join(blocks(page, "")).replace("\\\n", " ").splitlines()
    found = [match["command"] for line in lines if (match := _COMMAND.match(line))]
    return [shlex.split(command.split(" | ")[0]) for command in found]
