"""The command ``deploy``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def deploy(
    bundle: str,
    out: str = ".",
    classifier: str | None = None,
    metrics: str | None = None,
    docker: bool = False,
    **overrides: Any,
) -> None:
    """Write a bundle's classifier as a wheel, which pip installs without torch: ``deploy BUNDLE --out DIR``.

    ``export BUNDLE`` comes first. The wheel has the classifier, its page, and the code that reads images and runs it.

    Args:
        bundle: folder of the bundle.
        out: folder for the wheel.
        classifier: the file that export wrote; models/model.onnx by default.
        metrics: metrics.json of an evaluation of this network, for the page that --card prints.
        docker: also write a Dockerfile beside the wheel.
        overrides: --checkpoint FILE or --ckpt_dir DIR for weights other than models/model.pt.
    """
    from dwskd_monai.bundle.bundle import Bundle
    from dwskd_monai.bundle.trained import TrainedBundle
    from dwskd_monai.commands.deploy.docker import write_dockerfile
    from dwskd_monai.commands.deploy.package import package_of
    from dwskd_monai.commands.deploy.wheel import write_wheel
    from dwskd_monai.evaluation.metric_files import read_metrics

    given = Bundle(bundle, overrides)
    given.refuse_unknown_overrides("deploy", "inference", "train")
    file = None if classifier is None else Path(classifier)
    measured = None if metrics is None else read_metrics(Path(metrics))
    package = package_of(TrainedBundle(given), file, measured)
    wheel = write_wheel(package, Path(out))
    sys.stdout.write(f"{wheel}\n")
    if docker:
        sys.stdout.write(f"{write_dockerfile(package, wheel)}\n")
