"""The command ``check``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any


def check(
    bundle: str,
    dataset_dir: str | None = None,
    unlabeled_dir: str | None = None,
    out: str | None = None,
    **settings: Any,
) -> None:
    """Look for what is wrong with images before days of training: ``check BUNDLE --dataset_dir DIR``.

    Reads each image once, as a training does. Finds images that cannot be used, wrong datalists, patients in two
    splits, copies (also resized, compressed again, mirrored), and what tells the class without the disease. Writes
    check.html, check.json and refused.csv. Exit code: 0, 3 for warnings, 2 for errors, which stop a training too.

    Args:
        bundle: folder of the bundle.
        dataset_dir: labeled images, as for training; by default those that the bundle was created for.
        unlabeled_dir: a folder or datalist of images without labels.
        out: folder for what is written; eval/check of the bundle by default.
        settings: any key of train.yaml that the training will have, such as --fold 1.
    """
    from dwskd_monai.bundle.bundle import Bundle
    from dwskd_monai.bundle.settings_file import versions
    from dwskd_monai.commands.check.page import write_json, write_page
    from dwskd_monai.commands.check.preflight import examine
    from dwskd_monai.data.refused import RefusedImages

    checked_bundle = Bundle(bundle, settings)
    checked_bundle.refuse_unknown_overrides("check", "train")
    source = str(checked_bundle.config("train")["dataset_dir"]) if dataset_dir is None else dataset_dir
    folder = Path(bundle) / "eval" / "check" if out is None else Path(out)
    refused = RefusedImages(folder / "refused.csv")
    refused.path.unlink(missing_ok=True)
    checked = examine(checked_bundle, source, unlabeled_dir, refused)
    facts = {"bundle": checked_bundle.name, "dataset_dir": source, "dwskd_monai": versions()["dwskd_monai"]}
    if unlabeled_dir is not None:
        facts["unlabeled_dir"] = unlabeled_dir
    refused.keep()
    write_json(folder / "check.json", checked, facts)
    write_page(folder / "check.html", checked, facts)
    for finding in checked.findings.in_order():
        sys.stdout.write(f"{finding.level}: {finding.kind}: {finding.message}\n")
    sys.stdout.write(f"{len(checked.images)} images checked; see {folder / 'check.html'}\n")
    if checked.findings.exit_code:
        raise SystemExit(checked.findings.exit_code)
