"""Settings that say where files lie on the machine of a run."""

from __future__ import annotations

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
