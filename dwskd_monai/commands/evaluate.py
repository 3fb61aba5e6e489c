"""The command ``evaluate``."""

from __future__ import annotations

from typing import Any


def evaluate(
    bundle: str, dataset_dir: str | None = None, split: str = "test", against: str | None = None, **settings: Any
) -> None:
    """Measure how good a trained bundle is: ``evaluate BUNDLE DIR``.

    A short form of ``python -m monai.bundle run`` with evaluate.yaml, which it prints first.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labeled images, as for training; by default those that the bundle was created for.
        split: test, validation (the validation images of the training) or all.
        against: another trained bundle, or the file of its weights: both networks are compared on the same images.
        settings: any key of train.yaml or evaluate.yaml, such as --output_dir DIR.
    """
    from dwskd_monai.bundle.monai_command import given, run_monai

    configs = ["train", "evaluate", *([] if against is None else ["against"])]
    run_monai(bundle, configs, given(dataset_dir=dataset_dir) | {"split": split} | given(against=against) | settings)
