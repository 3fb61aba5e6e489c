"""The command ``select``."""

from __future__ import annotations

import sys
from pathlib import Path


def select(
    teacher: str,
    student: str,
    out: str,
    teacher_weights: str = "pretrained",
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
    """Write weights for two students from one teacher: ``select --teacher NAME --student NAME --out DIR``.

    Args:
        teacher: timm name of the teacher, the large network.
        student: timm name of the student, a smaller network of the same family.
        out: folder for main.safetensors, auxiliary.safetensors, report.json and report.md.
        teacher_weights: pretrained (timm's, downloaded), a .safetensors or .pt file, or random.
        layers: first, uniform, or the teacher's blocks for a stage: "{'stages.2.blocks': [0, 2, 4, 6, 8, 10]}".
        elements: uniform, consecutive, random or importance.
        offset: shift of uniform and consecutive elements, in [0, 1).
        seed: of random elements and of the new classifiers.
        rescale: true: larger weights make up for inputs that were left out.
        complementary: false: both students get the same subset.
        in_chans: channels of the images.
        num_classes: outputs of the students' new classifiers; 0: none.
        img_size: side of the images in pixels, for networks with position embeddings.
        images: a folder of images on which the features of students and teacher are compared (similarity.png).
        force: overwrite files of an earlier run.
    """
    from dwskd_monai.commands.select.select import select_to_folder
    from dwskd_monai.weight_selection import Rules

    report = select_to_folder(
        teacher,
        student,
        Path(out),
        teacher_weights,
        Rules(layers, elements, offset, seed, rescale),
        complementary=complementary,
        in_chans=in_chans,
        num_classes=num_classes,
        img_size=img_size,
        images=None if images is None else Path(images),
        force=force,
    )
    sys.stdout.write(f"{report}\nwritten to {out}: main, auxiliary, report.md\n")
