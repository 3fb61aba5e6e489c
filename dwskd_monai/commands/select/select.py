"""Writes the first weights of two students as files, with a report of what they took."""

from __future__ import annotations

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import timm
import torch
from safetensors.torch import save_file
from torch import nn

from dwskd_monai.commands.select.report import FIGURE, as_markdown, draw
from dwskd_monai.commands.select.similarity import read_images, similarities
from dwskd_monai.files import replacing
from dwskd_monai.training.teachers import create_teacher, open_teacher
from dwskd_monai.weight_selection import PairReport, Rules, image_shape, select_pair

FILES = ("main.safetensors", "auxiliary.safetensors", "report.json", "report.md")


def select_to_folder(
    teacher: str,
    student: str,
    folder: Path,
    teacher_weights: str,
    rules: Rules,
    *,
    complementary: bool,
    in_chans: int,
    num_classes: int,
    img_size: int | None,
    images: Path | None,
    force: bool,
) -> PairReport:
    """Select the weights of two students, and write them with the report.

    Args:
        folder: the folder for the files.
        rules: which blocks and elements are taken.
        teacher, student, teacher_weights, complementary, in_chans, num_classes, img_size, images, force: as the options
            of the command.

    Raises:
        FileExistsError: if the folder has files of an earlier run, without ``force``.
        FileNotFoundError, ValueError: for bad input; the message names it.
    """
    existing = [name for name in (*FILES, FIGURE) if (folder / name).exists()]
    if existing and not force:
        raise FileExistsError(
            f"{folder} already has {', '.join(existing)}; choose another --out, or overwrite the files with --force"
        )
    torch.manual_seed(rules.seed)
    size = {} if img_size is None else {"img_size": img_size}
    source = open_teacher(teacher, teacher_weights, in_chans, **size)
    main, auxiliary, unselected = (
        timm.create_model(student, pretrained=False, in_chans=in_chans, num_classes=num_classes, **size)
        for _ in range(3)
    )
    batches = None if images is None else read_images(images, image_shape(main))
    report = select_pair(source, main, auxiliary, rules, complementary=complementary, progress=True)
    content: dict[str, Any] = {
        "teacher": {"name": teacher, "weights": str(teacher_weights), "parameters": _parameters(source.network)},
        "student": {"name": student, "parameters": _parameters(main), "in_chans": in_chans, "num_classes": num_classes},
        "complementary": complementary,
        "coverage": report.coverage,
        "overlap": report.overlap,
        "versions": {name: version(name) for name in ("dwskd_monai", "timm", "torch")},
        "similarity": None,
        "main": report.main.as_json(),
        "auxiliary": report.auxiliary.as_json(),
    }
    if batches is not None:
        in_memory = create_teacher(teacher, teacher_weights, in_chans, **size) if source.weights else source.network
        content["similarity"] = similarities(in_memory, main, auxiliary, unselected, rules, batches)
        draw(content["similarity"], rules.elements, folder / FIGURE, f"{teacher} → {student}")
    elif FIGURE in existing:
        (folder / FIGURE).unlink()  # of an earlier run, and out of date
    _write(folder, main, auxiliary, report, content)
    return report


def _write(folder: Path, main: nn.Module, auxiliary: nn.Module, report: PairReport, content: dict[str, Any]) -> None:
    for name, network, own in (("main", main, report.main), ("auxiliary", auxiliary, report.auxiliary)):
        metadata = {"format": "pt", "report": json.dumps(own.as_json())}
        with replacing(folder / f"{name}.safetensors") as temporary:
            save_file(network.state_dict(), temporary, metadata=metadata)
    with replacing(folder / "report.json") as temporary:
        temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    with replacing(folder / "report.md") as temporary:
        temporary.write_text(as_markdown(content, report), encoding="utf-8")


def _parameters(network: nn.Module) -> int:
    return sum(parameter.numel() for parameter in network.parameters())
