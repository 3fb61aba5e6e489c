"""The command ``create``."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path


def create(
    directory: str,
    data: str | None = None,
    modality: str = "picture",
    classes: Sequence[str] | str | None = None,
    teacher: str | None = None,
    student: str | None = None,
    image_size: int | None = None,
) -> None:
    """Make a bundle for a task of your own: ``create DIR --data DATA --modality ct``.

    Args:
        directory: folder of the bundle, which must not exist; its name becomes the bundle's name.
        data: labeled images: a folder with one folder per class, or a CSV or JSON datalist. They name the classes.
        modality: what a study is: picture, ct or mr, or chest_xray, lung_ct or brain_mri, which are set up already.
        classes: names of the classes in their order, a,b; by default those of data in alphabetical order.
        teacher: timm name of the teacher, the large network.
        student: timm name of the student, a smaller network of the same family.
        image_size: side in pixels of the square that slices are resized to; 224 by default.
    """
    from dwskd_monai.commands.create.create import create_bundle

    names = classes.split(",") if isinstance(classes, str) else classes
    given = {"teacher": teacher, "student": student, "image_size": image_size}
    settings = {key: value for key, value in given.items() if value is not None}
    source = None if data is None else Path(str(data))
    found = create_bundle(Path(str(directory)), source, modality, names, settings)
    missing = "" if data is not None else " DATA"
    sys.stdout.write(
        f"{directory}: classes {', '.join(found)}; settings are at the top of {directory}/configs/train.yaml\n\n"
        f"dwskd train {directory}{missing}\n"
        f"dwskd evaluate {directory}{missing} --split validation\n"
        f"dwskd predict {directory} STUDIES\n"
    )
