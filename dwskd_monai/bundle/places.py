"""Settings that say where files lie on the machine of a run."""

from __future__ import annotations

from pathlib import Path

PLACES = (
    "bundle_root",
    "dataset_dir",
    "output_dir",
    "ckpt_dir",
    "checkpoint",
    "training_state",
    "cache_dir",
    "unlabeled_dir",
    "held_out_dir",
    "against",
)


def refuse_number_sign(bundle: Path) -> None:
    """Raise ValueError for the folder of a bundle of which MONAI would take a part for one of an id."""
    if "#" in str(bundle.absolute()):
        raise ValueError(f"bundle: MONAI cannot take {bundle.absolute()}, a path with #; rename the folder")
