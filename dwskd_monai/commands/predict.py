"""The command ``predict``."""

from __future__ import annotations

from typing import Any


def predict(bundle: str, studies: str, out: str | None = None, **settings: Any) -> None:
    """Classify studies with a trained bundle: ``predict BUNDLE STUDIES``.

    Writes predictions.csv. A short form of ``python -m monai.bundle run`` with inference.yaml, which it prints first.

    Args:
        bundle: folder of the bundle.
        studies: an image, a folder of images, the folder of a DICOM series, or a CSV or JSON datalist.
        out: folder for predictions.csv; eval/inference of the bundle by default.
        settings: any key of inference.yaml, such as --batch_size 32.
    """
    from dwskd_monai.bundle.monai_command import given, run_monai

    run_monai(bundle, ["inference"], {"dataset_dir": str(studies)} | given(output_dir=out) | settings)
