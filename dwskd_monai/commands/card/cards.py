"""What is known of a trained bundle, and its cards as files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.evaluation.cards.chai import applied_model_card
from dwskd_monai.evaluation.cards.checklists import checklist_page
from dwskd_monai.evaluation.cards.facts import Facts, check_stated
from dwskd_monai.evaluation.cards.label import label
from dwskd_monai.evaluation.cards.model_page import model_page
from dwskd_monai.evaluation.metric_files import check_metrics
from dwskd_monai.evaluation.page.network import Trained
from dwskd_monai.files import replacing


def facts_of(trained: TrainedBundle, metrics: Mapping[str, Any] | None, stated: Mapping[str, str]) -> Facts:
    """All that the cards say.

    Args:
        trained: the bundle with its network.
        metrics: content of the ``metrics.json`` of an evaluation; None: it was not evaluated.
        stated: what its authors state.

    Raises:
        ValueError: if the metrics are of another network, or of images that it was trained on.
    """
    settings = trained.settings
    if metrics is not None:
        check_metrics(metrics, settings, trained.weights)
    return Facts(
        metadata=trained.bundle.metadata,
        class_names=settings.class_names,
        trained=Trained(dict(settings), settings.origin),
        weights_sha256=settings.sha256,
        parameters=sum(parameter.numel() for parameter in trained.network.parameters()),
        page=(trained.bundle.folder / "docs" / "README.md").read_text(encoding="utf-8"),
        metrics=metrics,
        stated=stated,
    )


def write_cards(facts: Facts, folder: Path) -> list[Path]:
    """Write all cards into a folder, and return their paths."""
    texts = {
        "README.md": model_page(facts.page, facts.metrics),
        "model_facts.html": label(facts),
        "applied_model_card.xml": applied_model_card(facts),
        "claim.md": checklist_page(facts),
    }
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(text, encoding="utf-8")
    return [folder / name for name in texts]


def read_stated(path: Path) -> dict[str, str]:
    """What authors state in a YAML file.

    Raises:
        FileNotFoundError: if it does not exist.
        ValueError: if it is something else, or has a key that no card has.
    """
    if not path.is_file():
        raise FileNotFoundError(f"stated: {path} does not exist; give a YAML file with what the cards cannot know")
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise ValueError(f"stated: {path} is not YAML: {error}") from error
    return check_stated({} if content is None else content, path)
