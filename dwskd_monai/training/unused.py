"""Settings that a training ignores, since its auxiliary does not use them: the log says so if they are given."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable
from pathlib import Path

import ignite.distributed as idist

from dwskd_monai.training.auxiliary import LABELING

_TEACHING = ("ema", "frozen", "mutual")  # main learns from the auxiliary batch by batch
_SELECTED = (*_TEACHING, "soft_labels")  # the auxiliary's first weights are selected
_USED_BY = {
    "momentum": ("ema",),
    "teacher_learning_rate": ("teacher_soft_labels",),
    "complementary": _SELECTED,
    **dict.fromkeys(
        ("distillation_epochs", "independent_epochs", "distillation_weight", "feature_weight"),
        _TEACHING,
    ),
    **dict.fromkeys(("distillation_term", "ramp_up_epochs", "temperature"), (*_TEACHING, *LABELING)),
    **dict.fromkeys(("label_epochs", "label_views", "match_classes", "soft_label_weight", "labeled_share"), LABELING),
}
_logger = logging.getLogger(__name__)


def warn_unused(given: Iterable[str], auxiliary: str, unlabeled_dir: str | Path | None) -> None:
    """Warn of settings that were given although this training does not use them.

    They do no harm, and who trains the teacher and students with one set of settings cannot avoid them. What stands in
    a config is not given: it is there for all kinds of trainings.

    Args:
        given: ids of the command line, such as ``distillation_term#_target_``.
        auxiliary: the kind of auxiliary that the training has.
        unlabeled_dir: where images without labels are; None: there are none.
    """
    if idist.get_rank() != 0:
        return
    roots = [key.partition("#")[0] for key in given]
    if "held_out_dir" in roots and unlabeled_dir is None:
        _logger.warning(
            "held_out_dir has no effect: it keeps images of unlabeled_dir out, and there is no unlabeled_dir"
        )
    for setting in dict.fromkeys(roots):
        kinds = _USED_BY.get(setting)
        if kinds is not None and auxiliary not in kinds:
            _logger.warning(
                "%s has no effect with auxiliary: %s%s; it needs auxiliary: %s",
                setting, auxiliary, _why(auxiliary, unlabeled_dir, roots), _either(kinds),
            )  # fmt: skip


def _why(auxiliary: str, unlabeled_dir: str | Path | None, given: Collection[str]) -> str:
    """Who left ``auxiliary`` to the config is told why it is this kind."""
    if "auxiliary" in given or auxiliary not in LABELING or unlabeled_dir is None:
        return ""
    return ", which unlabeled_dir chooses"


def _either(kinds: Collection[str]) -> str:
    *others, last = kinds
    return f"{', '.join(others)} or {last}" if others else last
