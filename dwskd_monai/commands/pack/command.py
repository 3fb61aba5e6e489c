"""The commands ``pack`` and ``unpack``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def pack(
    bundle: str,
    out: str | None = None,
    metrics: str | None = None,
    sample: str | None = None,
    **overrides: Any,
) -> None:
    """Pack a trained bundle into one file to share: ``pack BUNDLE``.

    monai and timm are enough to load and run the packed bundle; training needs this package.

    Args:
        bundle: folder of the bundle.
        out: the file; <name>_v<version>.zip beside the bundle by default.
        metrics: metrics.json of an evaluation of this network, for the bundle's page.
        sample: a study to try the network on; a phantom by default.
        overrides: keys of the configs: --checkpoint FILE or --ckpt_dir DIR for weights other than models/model.pt, and
            settings for later trainings of the packed bundle, such as --teacher_weights FILE.
    """
    from dwskd_monai.bundle.bundle import Bundle
    from dwskd_monai.bundle.trained import TrainedBundle
    from dwskd_monai.commands.pack.archive import write_archive
    from dwskd_monai.commands.pack.provenance import provenance
    from dwskd_monai.evaluation.metric_files import read_metrics

    given = Bundle(bundle, overrides)
    given.refuse_unknown_overrides("pack", "inference", "train")
    trained = TrainedBundle(given)
    measured = None if metrics is None else read_metrics(Path(metrics))
    origin = provenance(trained, measured)
    version = trained.bundle.metadata["version"]
    file = Path(bundle).resolve().parent / f"{trained.bundle.name}_v{version}.zip" if out is None else Path(out)
    write_archive(trained, origin, None if sample is None else Path(sample), file)
    sys.stdout.write(f"{file}\n")


def unpack(file: str, out: str = ".") -> None:
    """Check a packed bundle and write its folder: ``unpack FILE``.

    Args:
        file: a file that pack wrote.
        out: folder in which the bundle's folder is made.
    """
    from dwskd_monai.commands.pack.unpack import unpack as unpack_to_folder

    sys.stdout.write(f"all checksums are correct; written to {unpack_to_folder(Path(file), Path(out))}\n")
