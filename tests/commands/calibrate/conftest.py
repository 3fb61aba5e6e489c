"""A small training, and the images that it had."""

from __future__ import annotations

import csv
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.bundles.commands import train_here

CLASSES = ["covid19", "no_findings", "pneumonia"]


@pytest.fixture(scope="session")
def trained(tmp_path_factory, phantoms) -> Path:
    """The models of a small training on one of two folds."""
    folder = tmp_path_factory.mktemp("trained")
    train_here(folder, phantoms / "datalist.csv", max_epochs=2, folds=2)
    return folder


@pytest.fixture
def models(tmp_path, trained) -> Path:
    return Path(shutil.copytree(trained, tmp_path / "models"))


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(newline="") as opened:
        return list(csv.DictReader(opened))


def write_rows(file: Path, rows: list[dict[str, Any]]) -> Path:
    with file.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    return file


def changed(phantoms: Path, out: Path, column: str, values: dict[str, str]) -> Path:
    """The datalist of the phantoms with other values in a column, by those that are there."""
    rows = [row | {"image": str(phantoms / row["image"])} for row in rows_of(phantoms / "datalist.csv")]
    return write_rows(out, [row | {column: values.get(row[column], row[column])} for row in rows])


def content_of(models: Path) -> dict[str, Any]:
    return yaml.safe_load((models / "model.yaml").read_text())


def write_content(models: Path, content: dict[str, Any]) -> None:
    (models / "model.yaml").write_text(yaml.safe_dump(content, sort_keys=False))
