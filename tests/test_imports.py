"""What each room may import: of this package, and of libraries. Rooms do not import each other in a circle."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

import dwskd_monai

PACKAGE = Path(dwskd_monai.__file__).parent


class Room(NamedTuple):
    """Rooms of this package, and libraries, that a room may import."""

    rooms: set[str]
    libraries: set[str] | None = None  # None: any


EVERYWHERE = {"", "lazy", "class_order", "telemetry"}  # what all rooms may import
DISK = {"files", "folders"}
METHOD = {"data", "evaluation", "preprocessing", "reading", "training", "weight_selection"}
TORCH = {"numpy", "torch", "monai", "ignite", "timm", "tqdm"}
TABLE = {
    "files": Room(set(), set()),
    "folders": Room(set(), set()),
    "lazy": Room(set(), set()),
    "class_order": Room(set(), set()),
    "telemetry": Room(set(), set()),
    "checkpoints": Room({"files"}, {"torch"}),
    "ensemble": Room(set(), {"torch"}),
    "reading": Room({"files"}, {"numpy", "PIL", "pydicom", "itk", "nibabel"}),
    "preprocessing": Room(set(), {"numpy"}),
    "preprocessing.transforms": Room({"preprocessing", "reading"}, {"numpy", "monai"}),
    "weight_selection": Room({"files", "checkpoints"}, {"numpy", "scipy", "torch", "timm", "safetensors", "tqdm"}),
    "weight_selection.coupling": Room(set(), {"numpy", "scipy", "torch"}),
    "bundle": Room(
        {*DISK, "checkpoints", "ensemble"}, {"monai", "ignite", "yaml", "ruamel", "jinja2", "torch", "filelock"}
    ),
    "data": Room({"files", "reading"}, {*TORCH, "scipy", "sklearn", "safetensors"}),
    "data.phantoms": Room({"data"}, {"numpy", "scipy", "tqdm", "PIL", "pydicom", "nibabel"}),
    "training": Room({"files", "checkpoints", "ensemble", "weight_selection"}, TORCH),
    "evaluation": Room({"files"}, {*TORCH, "scipy", "sklearn", "matplotlib"}),
    "evaluation.explanations": Room({"ensemble"}, {"numpy", "scipy", "torch", "monai", "PIL"}),
    "evaluation.html": Room(set(), {"jinja2"}),
    "evaluation.page": Room({"files"}, {"numpy", "scipy", "sklearn", "matplotlib"}),
    "evaluation.cards": Room({"files"}, set()),
    "runtime": Room({*DISK, "reading", "preprocessing", "evaluation", "data"}, {"numpy", "onnxruntime"}),
    "runtime.command": Room({"dicom_out", "listening"}, set()),
    "dicom_out": Room({*DISK, "reading", "evaluation", "runtime"}, {"numpy", "PIL", "pydicom", "highdicom"}),
    "listening": Room(
        {"files", "reading", "runtime", "dicom_out"}, {"pydicom", "pynetdicom", "prometheus_client", "requests"}
    ),
    "inference_code": Room({"reading"}, set()),
    "commands": Room({*DISK, "inference_code", "checkpoints", "ensemble", "bundle", "dicom_out", "runtime", *METHOD}),
    "cli": Room({"bundle", "commands"}, {"fire"}),
    "__main__": Room({"cli"}, set()),
    "__init__": Room({"weight_selection"}, set()),
}  # fmt: skip
FILES = sorted(PACKAGE.rglob("*.py"))


def imported(path: Path) -> Iterator[str]:
    """Modules that a file imports, wherever in it, and those that its public names are found in."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            if node.module == "dwskd_monai":
                yield from (f"dwskd_monai.{alias.name}" for alias in node.names)
            else:
                yield node.module or ""
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def room_of(module: str) -> str:
    """The most special row of the table for a module."""
    parts = module.split(".")
    names = [".".join(parts[:length]) for length in range(len(parts), 0, -1)]
    return next(name for name in names if name in TABLE)


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_a_room_imports_what_its_row_allows(path):
    home = room_of(name_of(path))
    row = TABLE[home]
    for module in imported(path):
        first, _, rest = module.partition(".")
        if first == "dwskd_monai":
            room = rest.split(".")[0]
            assert room in row.rooms | EVERYWHERE | {home.split(".")[0]}, f"{path}: {module}"
        elif row.libraries is not None and first not in sys.stdlib_module_names:
            assert first in row.libraries, f"{path}: {module}"


@pytest.mark.parametrize("path", sorted((PACKAGE / "commands").rglob("*.py")), ids=name_of)
def test_no_command_imports_another(path):
    command = name_of(path).split(".")[1]
    for module in imported(path):
        if module.startswith("dwskd_monai.commands."):
            assert module.split(".")[2] == command, f"{path}: {module}"


def test_the_rooms_have_no_circle():
    def below(room: str, above: tuple[str, ...]) -> None:
        assert room not in above, " imports ".join((*above, room))
        for other in TABLE[room].rooms - {room.split(".")[0]}:
            below(other, (*above, room))

    for room in TABLE:
        below(room, ())


def test_modules_of_a_room_have_no_circle():
    """A circle inside a room is one too: neither module can then be read first."""
    uses = {name_of(path): {m.removeprefix("dwskd_monai.") for m in imported(path)} for path in FILES}
    edges = {name: {other for other in others if other in uses} for name, others in uses.items()}
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " imports ".join((*above, name))
        if name not in done:
            for other in sorted(edges[name]):
                visit(other, (*above, name))
            done.add(name)

    for name in edges:
        visit(name, ())
