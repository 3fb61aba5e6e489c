"""Settings that a training ignores, since its auxiliary does not use them: the log says so if they are given."""

from __future__ import annotations

import logging
import re
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import ignite.distributed as idist

from dwskd_monai.training.auxiliary import AUTO, LABELING

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


def warn_unused(given: Mapping[str, Any], auxiliary: str, chosen: str, unlabeled_dir: str | Path | None) -> None:
    """Warn of settings that were given although this training does not use them.

    They do no harm, and who trains the teacher and students with one set of settings cannot avoid them. What stands in
    a config is not given: it is there for all kinds of trainings.

    Args:
        given: ids of the command line, such as ``distillation_term#_target_``, and their values.
        auxiliary: what the config says, a kind of auxiliary or ``auto``.
        chosen: the kind that the training has.
        unlabeled_dir: where images without labels are; None: there are none.
    """
    if idist.get_rank() != 0:
        return
    if given.get("held_out_dir") is not None and unlabeled_dir is None:
        _logger.warning(
            "held_out_dir has no effect: it keeps images of unlabeled_dir out, and there is no unlabeled_dir"
        )
    why = ", which unlabeled_dir chooses" if auxiliary == AUTO and chosen in LABELING else ""
    for setting in dict.fromkeys(re.split("#|::", key)[0] for key in given):
        kinds = _USED_BY.get(setting)
        if kinds is not None and chosen not in kinds:
            _logger.warning(
                "%s has no effect with auxiliary: %s%s; it needs auxiliary: %s", setting, chosen, why, _either(kinds)
            )


def _either(kinds: Collection[str]) -> str:
    *others, last = kinds
    return f"{', '.join(others)} or {last}" if others else last
