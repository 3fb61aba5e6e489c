"""The command ``suggest``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_COUNT, _SEED = 20, 0
_UNUSED = ("fold", "folds", "train_fraction")  # labeled images are taken whatever their split
_UNUSED_BY_AUDIT = (*_UNUSED, "count", "seed", "held_out_dir")


def suggest(
    bundle: str,
    unlabeled_dir: str | None = None,
    count: int = _COUNT,
    out: str | None = None,
    audit: bool = False,
    dataset_dir: str | None = None,
    seed: int = _SEED,
    **settings: Any,
) -> None:
    """Say which studies to label next, or which labels are probably wrong: ``suggest BUNDLE --unlabeled_dir DIR``.

    Suggests studies on which the two students of a training disagree, or of which its one student is least certain, and
    which differ from each other, one of each patient. Writes suggestions.csv, suggestions.png and suggestions.json.
    With --audit, lists labeled studies that are probably mislabeled, each judged by networks that were not trained on
    it: audit.csv, audit.png and audit.json. Both write refused.csv; exit code 3: images were refused, and all others
    were used.

    Args:
        bundle: folder of a trained bundle; with --audit, several of them with commas between them, trained with
            different folds.
        unlabeled_dir: an image, a folder of images, the folder of a DICOM series, or a CSV or JSON datalist. Labeled
            images may be among them.
        count: how many studies to suggest.
        out: folder for what is written; eval/suggestions or eval/audit of the bundle by default.
        audit: look for wrong labels instead.
        dataset_dir: labeled images, as for training; by default those that the bundle was created for. Copies of them
            are not suggested.
        seed: of the choice among studies.
        settings: any key of inference.yaml or train.yaml, such as --batch_size 32, --cache_dir DIR or --strict.
    """
    from dwskd_monai.commands.suggest.auditing import write_audit
    from dwskd_monai.commands.suggest.suggestions import write_suggestions

    if audit and unlabeled_dir is not None:
        raise ValueError(
            "unlabeled_dir: --audit looks at labeled images, given by --dataset_dir; leave unlabeled_dir out"
        )
    _refuse_without_effect(audit, count, seed, settings)
    if audit:
        write_audit(bundle, dataset_dir, out, settings)
    elif unlabeled_dir is None:
        raise ValueError(
            "unlabeled_dir: give images to choose from, --unlabeled_dir DIR, or look for wrong labels: --audit"
        )
    else:
        write_suggestions(bundle, unlabeled_dir, dataset_dir, count, seed, out, settings)


def _refuse_without_effect(audit: bool, count: int, seed: int, settings: Mapping[str, Any]) -> None:
    if "output_dir" in settings:
        raise ValueError("output_dir: suggest writes to the folder that --out names; give --out DIR")
    given = [*settings, *(["count"] if count != _COUNT else []), *(["seed"] if seed != _SEED else [])]
    unused = [name for name in given if name in (_UNUSED_BY_AUDIT if audit else _UNUSED)]
    if unused:
        raise ValueError(f"{', '.join(unused)}: without effect on suggest{' --audit' if audit else ''}; leave it out")
