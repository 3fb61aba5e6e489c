"""The command ``card``."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

_logger = logging.getLogger(__name__)


def card(
    bundle: str,
    metrics: str | None = None,
    out: str | None = None,
    stated: str | None = None,
    **overrides: Any,
) -> None:
    """Write cards of a trained bundle: ``card BUNDLE --metrics BUNDLE/eval/test/metrics.json``.

    README.md is the bundle's page as MONAI's model zoo has it, model_facts.html a Model Facts label on one sheet,
    applied_model_card.xml the Applied Model Card 0.2 of the Coalition for Health AI, and claim.md answers the items of
    CLAIM 2024 and TRIPOD+AI. What was not measured, or is not stated, says so.

    Args:
        bundle: folder of the bundle.
        metrics: metrics.json of an evaluation of this network; without it, no card has a number.
        out: folder for the cards; BUNDLE/cards by default.
        stated: a YAML file with what nobody can measure, such as population, contact and funding.
        overrides: --checkpoint FILE or --ckpt_dir DIR for weights other than models/model.pt.
    """
    from dwskd_monai.bundle.bundle import Bundle
    from dwskd_monai.bundle.trained import TrainedBundle
    from dwskd_monai.commands.card.cards import facts_of, read_stated, write_cards
    from dwskd_monai.evaluation.metric_files import read_metrics

    given = Bundle(bundle, overrides)
    given.refuse_unknown_overrides("card", "inference", "train")
    measured = None if metrics is None else read_metrics(Path(metrics))
    if metrics is None:
        _logger.info("no card has a number; give an evaluation: --metrics FILE, such as eval/test/metrics.json")
    said = {} if stated is None else read_stated(Path(stated))
    facts = facts_of(TrainedBundle(given), measured, said)
    for file in write_cards(facts, Path(bundle) / "cards" if out is None else Path(out)):
        sys.stdout.write(f"{file}\n")
