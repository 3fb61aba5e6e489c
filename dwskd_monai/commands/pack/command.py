"""The commands ``pack`` and ``unpack``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.bundle import Bundle
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.pack.archive import write_archive
from dwskd_monai.commands.pack.provenance import provenance, read_metrics
from dwskd_monai.commands.pack.unpack import unpack as unpack_to_folder


def pack(
    bundle: str,
    out: str | None = None,
    models: str | None = None,
    metrics: str | None = None,
    dataset_dir: str | None = None,
    sample: str | None = None,
    **overrides: Any,
) -> None:
    """A trained bundle as one file to share: ``pack BUNDLE``.

    MONAI loads and runs what it holds with monai and timm alone; training needs this package.

    Args:
        bundle: folder of the bundle.
        out: the file; <name>_v<version>.zip beside the bundle by default.
        models: folder with model.pt and what export wrote; the bundle's models by default.
        metrics: metrics.json of an evaluation of this network, for its page.
        dataset_dir: labeled images that it was trained on; only their digest is kept.
        sample: a study to try the network on; a phantom by default.
        overrides: keys of the configs that the network was trained with, --student NAME for instance.
    """
    trained = TrainedBundle(Bundle(bundle, overrides), None if models is None else Path(models), "pack")
    measured = None if metrics is None else read_metrics(Path(metrics))
    origin = provenance(trained, measured, None if dataset_dir is None else Path(dataset_dir))
    version = trained.bundle.metadata["version"]
    file = Path(bundle).resolve().parent / f"{trained.bundle.name}_v{version}.zip" if out is None else Path(out)
    write_archive(trained, origin, None if sample is None else Path(sample), file)
    sys.stdout.write(f"{file}\n")


def unpack(file: str, out: str = ".") -> None:
    """Check a packed bundle and write its folder: ``unpack FILE``.

    Args:
        file: what pack wrote.
        out: folder in which the bundle's folder is made.
    """
    sys.stdout.write(f"all checksums are right; written to {unpack_to_folder(Path(file), Path(out))}\n")
