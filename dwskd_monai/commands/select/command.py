"""The command ``select``: the first weights of two students, with a report of what they took."""

from __future__ import annotations

import json
import sys
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
from dwskd_monai.training.teachers import PRETRAINED, create_teacher, open_teacher
from dwskd_monai.weight_selection import PairReport, Rules, image_shape, select_pair

FILES = ("main.safetensors", "auxiliary.safetensors", "report.json", "report.md")


def select(
    teacher: str,
    student: str,
    out: str,
    teacher_weights: str = PRETRAINED,
    layers: str | dict[str, list[int]] = "first",
    elements: str = "uniform",
    offset: float = 0.0,
    seed: int = 0,
    rescale: bool = False,
    complementary: bool = True,
    in_chans: int = 1,
    num_classes: int = 0,
    img_size: int | None = None,
    images: str | None = None,
    force: bool = False,
) -> None:
    """Weights for two students from one teacher: ``select --teacher NAME --student NAME --out DIR``.

    Args:
        teacher: timm name of the large network.
        student: timm name of the small one, of the same family.
        out: folder for main.safetensors, auxiliary.safetensors, report.json and report.md.
        teacher_weights: pretrained (timm's, downloaded), a .safetensors or .pt file, or random.
        layers: first, uniform, or the teacher's blocks for a stage: "{'stages.2.blocks': [0, 2, 4, 6, 8, 10]}".
        elements: uniform, consecutive, random or importance.
        offset: shift of uniform and consecutive, in [0, 1).
        seed: of random, and of the new classifiers.
        rescale: larger weights where inputs were lost.
        complementary: false: both students get the same subset.
        in_chans: channels of the images.
        num_classes: outputs of the students' new classifiers; 0: none.
        img_size: side of the images in pixels, for networks with position embeddings.
        images: a folder of images on which the features of students and teacher are compared (similarity.png).
        force: overwrite what an earlier run wrote.
    """
    folder = Path(out)
    existing = [name for name in (*FILES, FIGURE) if (folder / name).exists()]
    if existing and not force:
        raise FileExistsError(
            f"{folder} already holds {', '.join(existing)}; choose another --out, or --force to overwrite"
        )
    rules = Rules(layers, elements, offset, seed, rescale)
    torch.manual_seed(seed)
    size = {} if img_size is None else {"img_size": img_size}
    source = open_teacher(teacher, teacher_weights, in_chans, **size)
    main, auxiliary, unselected = (
        timm.create_model(student, pretrained=False, in_chans=in_chans, num_classes=num_classes, **size)
        for _ in range(3)
    )
    batches = None if images is None else read_images(Path(images), image_shape(main))
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
        draw(content["similarity"], elements, folder / FIGURE, f"{teacher} → {student}")
    elif FIGURE in existing:
        (folder / FIGURE).unlink()  # of an earlier run, and no longer true
    _write(folder, main, auxiliary, report, content)
    sys.stdout.write(f"{report}\nwritten to {out}: main, auxiliary, report.md\n")


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
