from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from dwskd_monai.bundle import StaleBundleError, check_classes, find_bundle_root, render
from tests.conftest import BUNDLE


def test_the_bundle_is_found_where_monai_put_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(BUNDLE), str(tmp_path)])
    assert find_bundle_root() == str(BUNDLE)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path)])
    assert find_bundle_root() == str(tmp_path)


def test_a_network_with_other_classes_than_the_metadata_is_refused():
    check_classes({"0": "a", "1": "b"}, 2)
    with pytest.raises(ValueError, match=r"num_classes is 3, configs/metadata.json names 2 classes \(a, b\)"):
        check_classes(["a", "b"], 3)


def test_an_error_in_a_config_ends_with_its_cause(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "initialize: {_target_: dwskd_monai.bundle.explain_errors}\n"
        "run: {_target_: dwskd_monai.losses.SelfDistillationLoss, temperature: -1}\n"
    )
    metadata = tmp_path / "metadata.json"
    metadata.write_text("{}")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config, "--meta_file", metadata]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.rstrip().endswith("ValueError: temperature must be greater than 0, got -1")
    assert "Failed to instantiate component" in result.stderr, "the traceback is still there"


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    shutil.copytree(BUNDLE.parent, folder, ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    return folder


def test_our_bundles_are_as_rendered():
    assert render(BUNDLE.parent, check=True) == []


def test_a_change_of_the_template_reaches_each_bundle(bundles):
    body = bundles / "_template" / "configs" / "train.yaml"
    body.write_text(body.read_text().replace("max_epochs: 40", "max_epochs: 41"))
    with pytest.raises(StaleBundleError, match="not as rendered: brain_mri_classification/configs/train.yaml, chest"):
        render(bundles, check=True)
    written = render(bundles)
    assert [path.parts[-3:] for path in written] == [
        (f"{name}_classification", "configs", "train.yaml") for name in ("brain_mri", "chest_xray", "lung_ct")
    ]
    assert all("max_epochs: 41" in path.read_text() for path in written)
    assert render(bundles) == []


def test_a_bundle_that_was_edited_is_found_and_mended(bundles):
    edited = bundles / "lung_ct_classification" / "configs" / "evaluate.yaml"
    before = edited.read_bytes()
    edited.write_text("split: train\n")
    with pytest.raises(StaleBundleError, match=r"not as rendered: lung_ct_classification/configs/evaluate.yaml; edit"):
        render(bundles, check=True)
    assert edited.read_text() == "split: train\n", "a check writes nothing"
    assert render(bundles) == [edited]
    assert edited.read_bytes() == before


def test_rendered_files_say_where_to_edit_them_and_keep_comments(bundles):
    text = (bundles / "lung_ct_classification" / "configs" / "train.yaml").read_text()
    template = bundles / "_template"
    parts = ["headers/lung_ct_classification.yaml"]
    parts += [f"configs/{name}.yaml" for name in ("settings", "train", "study_transforms")]
    first, rest = text.split("\n", 1)
    assert first == f"# Rendered by python -m dwskd_monai render; edit in bundles/_template: {', '.join(parts)}"
    assert rest == "".join((template / part).read_text() for part in parts)


def test_what_is_missing_is_named(bundles):
    (bundles / "lung_ct_classification" / "configs" / "metadata.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"lung_ct_classification/configs/metadata.json is missing; write it"):
        render(bundles)
    (bundles / "_template" / "headers" / "brain_mri_classification.md").unlink()
    with pytest.raises(FileNotFoundError, match=r"headers/brain_mri_classification.md is missing; docs/README.md"):
        render(bundles)
    with pytest.raises(FileNotFoundError, match=r"_template: no headers/<bundle>.yaml"):
        render(bundles / "lung_ct_classification")
