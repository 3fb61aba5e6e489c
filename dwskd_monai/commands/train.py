"""The command ``train``."""

from __future__ import annotations

from typing import Any


def train(
    bundle: str, dataset_dir: str | None = None, large_model: bool = False, demo: bool = False, **settings: Any
) -> None:
    """Train a bundle's small classifier: ``train BUNDLE DIR``.

    A short form of ``python -m monai.bundle run training``, which it prints first.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labeled images: a folder with one folder per class, or a CSV or JSON datalist; by default those
            that the bundle was created for.
        large_model: fine-tune the teacher. Its students can then start from --teacher_weights BUNDLE/models/teacher.pt.
        demo: train small networks on small images for few epochs, as the bundle's demo.yaml says.
        settings: any key of train.yaml, such as --max_epochs 20, or --unlabeled_dir DIR for images without labels.
    """
    from dwskd_monai.bundle.monai_command import given, run_monai

    configs = ["train", *(["train_teacher"] if large_model else []), *(["demo"] if demo else [])]
    run_monai(bundle, configs, given(dataset_dir=dataset_dir) | settings, "training")
