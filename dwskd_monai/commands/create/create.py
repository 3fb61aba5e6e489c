"""Make a bundle's folder from the template."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from monai.bundle import ConfigParser

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.commented_yaml import with_settings
from dwskd_monai.bundle.image_size import check_image_size
from dwskd_monai.bundle.places import refuse_number_sign
from dwskd_monai.bundle.render import METADATA, rendered_metadata, write_rendered
from dwskd_monai.data.class_names import find_class_names
from dwskd_monai.training.teachers import check_known, open_teacher
from dwskd_monai.weight_selection import select_weights

# What a study is, and the header of the template that describes it.
MODALITIES = {
    "picture": "picture",
    "ct": "ct",
    "mr": "mr",
    "chest_xray": "chest_xray_classification",
    "lung_ct": "lung_ct_classification",
    "brain_mri": "brain_mri_classification",
}


def create_bundle(
    folder: Path, data: Path | None, modality: str, classes: Sequence[str] | None, settings: Mapping[str, str | int]
) -> list[str]:
    """Write a bundle; if anything is wrong with the arguments, nothing is written.

    Args:
        folder: of the bundle.
        data: labeled images, which become the bundle's ``dataset_dir``; None: the template's stays.
        modality: one of ``MODALITIES``.
        classes: names in the order of the network's outputs; None: those that ``data`` names.
        settings: values of ``teacher``, ``student`` and ``image_size`` in ``train.yaml``; those left out stay.

    Returns:
        The names of the classes.

    Raises:
        FileExistsError: if the folder exists.
        FileNotFoundError: if ``data`` does not exist.
        ValueError: if the modality is unknown, classes are missing or named twice, the image size is not a positive
            number, or the student cannot take its teacher's weights or images of this size.
    """
    if modality not in MODALITIES:
        raise ValueError(f"modality must be one of {', '.join(MODALITIES)}; got {modality!r}")
    if folder.exists():
        raise FileExistsError(f"{folder} exists already; give a new folder, or remove it")
    refuse_number_sign(folder)
    names = _class_names(data, classes)
    if odd := [name for name in names if "#" in name or "::" in name]:
        raise ValueError(
            f"classes: MONAI takes # and :: for parts of an id, so no class can be named {', '.join(odd)}; rename it, "
            "and its folder"
        )
    size = settings.get("image_size", 1)
    if type(size) is not int or size < 1:
        raise ValueError(f"image_size: expected a whole number of pixels, 1 or more; got {size!r}")
    try:
        header = MODALITIES[modality]
        write_rendered(folder, header, names)
        train = folder / "configs" / "train.yaml"
        own = dict(settings) if data is None else {"dataset_dir": str(data.resolve()), **settings}
        if own:
            train.write_text(with_settings(train.read_text(encoding="utf-8"), own), encoding="utf-8")
        image_size = ConfigParser.load_config_file(str(train))["image_size"]
        (folder / METADATA).write_text(rendered_metadata(header, names, image_size), encoding="utf-8")
        if settings:
            _check_pair(Bundle(folder))
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return names


def _class_names(data: Path | None, classes: Sequence[str] | None) -> list[str]:
    if classes is None:
        if data is None:
            raise ValueError("classes: name them, --classes a,b, or give labeled images that do: --data DIR")
        return find_class_names(data)
    names = [str(name).strip() for name in classes]
    if len(names) < 2 or len(set(names)) < len(names) or not all(names):
        raise ValueError(f"classes: expected two or more different names, a,b; got {', '.join(names)!r}")
    if data is not None:
        found = find_class_names(data, numbers=True)
        unnamed = [name for name in found if name not in names and not name.isdecimal()]
        if unnamed:
            raise ValueError(f"classes: {data} has {', '.join(unnamed)} too; name all of its classes")
    return names


def _check_pair(bundle: Bundle) -> None:
    """Raise ValueError if the student cannot take weights of the teacher; nothing is downloaded."""
    config = bundle.config("train")
    check_known(config["student"])
    check_image_size(config)
    teacher = open_teacher(config["teacher"], "random", config["in_chans"])
    select_weights(teacher, bundle.parsed("network_def", "train"))
