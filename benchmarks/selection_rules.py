"""Which elements a student should take: rules of weight selection side by side, on one labelled folder.

    python benchmarks/selection_rules.py --dataset_dir DIR --teacher_weights teacher.pt --out results/rules

Rules: ``uniform`` (whole heads), ``interleaved`` (uniform as published, which mixes heads; differs for ViT alone),
``consecutive``, ``importance``, ``random``, and ``rescaled`` (uniform, with larger weights where inputs were lost).
Each is trained as `benchmarks/compare_methods.py` trains ``selection``: one student, no distillation; for a seed all
rules have the same validation fold, training images, order and epochs. The same caveats hold.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import compare_methods
import fire

ALONE = {"auxiliary": "none"}
RULES: dict[str, dict[str, Any]] = {
    "uniform": ALONE,
    "interleaved": ALONE
    | {
        "first_weights": {
            "_target_": "published_selection.initialise_students",
            "main": "@network_def",
            "teacher": "@teacher_def",
        }
    },
    "consecutive": ALONE | {"elements": "consecutive"},
    "importance": ALONE | {"elements": "importance"},
    "random": ALONE | {"elements": "random"},
    "rescaled": ALONE | {"rescale": True},
}


def compare(
    dataset_dir: str,
    teacher_weights: str,
    out: str,
    rules: Sequence[str] = ("uniform", "interleaved", "consecutive", "importance", "rescaled"),
    fractions: Sequence[float] = (1.0,),
    **settings: Any,
) -> None:
    """Run what is missing of rules x fractions x seeds, and write ``results.csv`` and ``summary.md``.

    Args:
        dataset_dir: labelled images, as for training.
        teacher_weights: one checkpoint of the teacher for all rules.
        out: folder of the results.
        rules: among uniform, interleaved, consecutive, importance, random and rescaled.
        fractions: shares of the training images.
        settings: ``bundle``, ``seeds`` and overrides, as of `benchmarks/compare_methods.py`.
    """
    compare_methods.METHODS = RULES
    compare_methods.compare(
        dataset_dir, teacher_weights, out, methods=rules, fractions=fractions, baseline="uniform", **settings
    )


if __name__ == "__main__":
    fire.Fire(compare)
