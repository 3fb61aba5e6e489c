"""``dwskd card``: from a bundle, its weights and its metrics to files."""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest

from dwskd_monai.bundle.settings_file import digest_of, read_settings
from dwskd_monai.cli import main
from dwskd_monai.evaluation.evidence import applied
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLES, tiny_convnext
from tests.evaluation.cards.made import metrics_of
from tests.evaluation.page.made import evaluated

BUNDLE = BUNDLES[0]
FILES = ["README.md", "applied_model_card.xml", "claim.md", "model_facts.html"]


@pytest.fixture
def models(tmp_path) -> Path:
    return save_network(tiny_convnext(num_classes=3), tmp_path / "models", BUNDLE, **SMALL_SETTINGS)


def metrics_file(folder: Path, **given: object) -> Path:
    """An evaluation of three classes, of the network in the folder."""
    evidence = applied(read_settings(folder / "model.pt").evidence)
    own = {"weights_sha256": digest_of(folder / "model.pt"), "evidence": evidence}
    content = json.dumps(metrics_of(evaluated(90, 3), **own | given))
    for made_up, name in (("very ill", "pneumonia"), ("healthy", "covid19"), ("ill", "no_findings")):
        content = content.replace(f'"{made_up}"', f'"{name}"')
    (folder / "metrics.json").write_text(content)
    return folder / "metrics.json"


def test_all_cards_are_written_with_the_numbers_of_the_evaluation(models, tmp_path, capsys):
    (tmp_path / "stated.yaml").write_text("funding: own means\ncontact:\n")
    metrics = metrics_file(models)
    words = ["--metrics", str(metrics), "--stated", str(tmp_path / "stated.yaml"), "--ckpt_dir", str(models)]
    main(["card", str(BUNDLE), *words, "--out", str(tmp_path / "cards")])
    assert sorted(path.name for path in (tmp_path / "cards").iterdir()) == FILES
    assert len(capsys.readouterr().out.splitlines()) == 4
    auc = json.loads(metrics.read_text())["report"]["study"]["macro"]["auc"]
    for name in ("README.md", "model_facts.html", "claim.md"):
        assert f"{auc['value']:.3f}" in (tmp_path / "cards" / name).read_text()
    assert "own means" in (tmp_path / "cards" / "claim.md").read_text()
    assert "own means" in (tmp_path / "cards" / "applied_model_card.xml").read_text()


def test_without_an_evaluation_the_log_says_that_no_card_has_a_number(models, tmp_path, caplog):
    caplog.set_level(logging.INFO)
    main(["card", str(BUNDLE), "--ckpt_dir", str(models), "--out", str(tmp_path / "cards")])
    assert "no card has a number" in caplog.text
    assert "not measured" in (tmp_path / "cards" / "model_facts.html").read_text()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"weights_sha256": "00"}, "metrics: these are of another network"),
        ({"trained_images": True}, "metrics: measured on images that the network was trained on"),
        ({"aggregation": {"method": "max", "k": 5}}, "slices became studies by max in this evaluation, but by mean in"),
        ({"evidence": {"applied": True, "temperature": {"value": 2.0}}}, "such as before dwskd calibrate, or without"),
    ],
)
def test_metrics_that_say_nothing_of_the_network_are_refused(models, tmp_path, capsys, change, message):
    metrics = metrics_file(models)
    metrics.write_text(json.dumps(json.loads(metrics.read_text()) | change))
    with pytest.raises(SystemExit) as end:
        main(["card", str(BUNDLE), "--metrics", str(metrics), "--ckpt_dir", str(models), "--out", str(tmp_path / "c")])
    assert end.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "stated.yaml does not exist"),
        ("funding: [", "stated.yaml is not YAML"),
        ("founding: x", "no card has 'founding'; did you mean funding?"),
    ],
)
def test_a_file_of_statements_that_cannot_be_read_is_named(models, tmp_path, capsys, content, message):
    if content is not None:
        (tmp_path / "stated.yaml").write_text(content)
    with pytest.raises(SystemExit):
        main(["card", str(BUNDLE), "--stated", str(tmp_path / "stated.yaml"), "--ckpt_dir", str(models)])
    assert message in capsys.readouterr().err
