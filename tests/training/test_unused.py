import logging

import pytest
import yaml

from dwskd_monai.training import warn_unused
from dwskd_monai.training.auxiliary import KINDS, LABELING
from tests.conftest import BUNDLE

NEVER_TEACHES = ("none", *LABELING)
UNUSED = [
    *[("momentum", kind) for kind in KINDS if kind != "ema"],
    *[("distillation_weight", kind) for kind in NEVER_TEACHES],
    *[("distillation_epochs", kind) for kind in NEVER_TEACHES],
    *[("independent_epochs", kind) for kind in NEVER_TEACHES],
    *[("feature_weight", kind) for kind in NEVER_TEACHES],
    *[("label_epochs", kind) for kind in KINDS if kind not in LABELING],
    *[("label_views", kind) for kind in KINDS if kind not in LABELING],
    *[("match_classes", kind) for kind in KINDS if kind not in LABELING],
    *[("soft_label_weight", kind) for kind in KINDS if kind not in LABELING],
    *[("labeled_share", kind) for kind in KINDS if kind not in LABELING],
    *[("teacher_learning_rate", kind) for kind in KINDS if kind != "teacher_soft_labels"],
    *[("complementary", kind) for kind in ("none", "own_soft_labels", "teacher_soft_labels")],
    ("temperature", "none"),
    ("distillation_term", "none"),
    ("ramp_up_epochs", "none"),
]


def said(
    caplog, given: list[str], kind: str, unlabeled_dir: str | None = "images", auxiliary: str = "auto"
) -> list[str]:
    with caplog.at_level(logging.WARNING):
        warn_unused(dict.fromkeys(given, 1), auxiliary, kind, unlabeled_dir)
    return caplog.messages


@pytest.mark.parametrize("kind", KINDS)
def test_settings_that_an_auxiliary_does_not_use_are_named_and_no_others(caplog, kind):
    keys = yaml.safe_load((BUNDLE / "configs/train.yaml").read_text())
    messages = said(caplog, list(keys), kind)
    named = [message.partition(" has no effect with auxiliary: ")[0] for message in messages]
    assert sorted(named) == sorted(setting for setting, of_kind in UNUSED if of_kind == kind)


def test_a_part_of_a_setting_counts_and_each_is_named_once(caplog):
    assert said(caplog, ["distillation_term#_target_", "distillation_term::temperature", "auxiliary"], "none") == [
        "distillation_term has no effect with auxiliary: none; it needs auxiliary: ema, frozen, mutual, "
        "own_soft_labels, soft_labels or teacher_soft_labels"
    ]


def test_who_left_the_choice_to_the_config_is_told_where_it_comes_from(caplog):
    (message,) = said(caplog, ["unlabeled_dir", "momentum"], "teacher_soft_labels")
    assert message.endswith("auxiliary: teacher_soft_labels, which unlabeled_dir chooses; it needs auxiliary: ema")
    caplog.clear()
    (message,) = said(caplog, ["unlabeled_dir", "momentum"], "soft_labels", auxiliary="soft_labels")
    assert message.endswith("auxiliary: soft_labels; it needs auxiliary: ema")


def test_images_to_leave_out_need_images_to_leave_them_out_of(caplog):
    assert not said(caplog, ["held_out_dir"], "soft_labels")
    assert "there is no unlabeled_dir" in said(caplog, ["held_out_dir"], "mutual", None)[0]
    caplog.clear()
    warn_unused({"held_out_dir": None}, "auto", "mutual", None)
    assert not caplog.messages
