from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from dwskd_monai.bundle.render import TEMPLATE, StaleBundleError, render
from tests.conftest import BUNDLE


@pytest.fixture
def bundles(tmp_path: Path) -> Path:
    folder = tmp_path / "bundles"
    shutil.copytree(BUNDLE.parent, folder, ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    return folder


@pytest.fixture
def template(tmp_path: Path) -> Path:
    return shutil.copytree(TEMPLATE, tmp_path / "template")


def test_our_bundles_are_as_rendered():
    assert render(BUNDLE.parent, check=True) == []


def test_a_change_of_the_template_reaches_each_bundle(bundles, template):
    body = template / "configs" / "train.yaml"
    body.write_text(body.read_text().replace("max_epochs: 40", "max_epochs: 41"))
    with pytest.raises(StaleBundleError, match="not as rendered: brain_mri_classification/configs/train.yaml, chest"):
        render(bundles, check=True, template=template)
    written = render(bundles, template=template)
    assert [path.parts[-3:] for path in written] == [
        (f"{name}_classification", "configs", "train.yaml") for name in ("brain_mri", "chest_xray", "lung_ct")
    ]
    assert all("max_epochs: 41" in path.read_text() for path in written)
    assert render(bundles, template=template) == []


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
    parts = ["headers/lung_ct_classification.yaml"]
    parts += [f"configs/{name}.yaml" for name in ("settings", "train", "study_transforms", "aggregation")]
    first, rest = text.split("\n", 1)
    assert first.startswith(f"# From {', '.join(parts)} of dwskd_monai/bundle/template. In the repository: edit these")
    joined = "".join((TEMPLATE / part).read_text() for part in parts)
    assert rest == joined.replace("{{ classes | length }}", "2")


def test_what_is_missing_is_named(bundles, template):
    (bundles / "lung_ct_classification" / "configs" / "metadata.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"lung_ct_classification/configs/metadata.json is missing; write it"):
        render(bundles)
    (template / "headers" / "brain_mri_classification.md").unlink()
    with pytest.raises(FileNotFoundError, match=r"headers/brain_mri_classification.md is missing; docs/README.md"):
        render(bundles, template=template)
    with pytest.raises(FileNotFoundError, match=r"template: .* has no headers/<bundle>.yaml"):
        render(bundles, template=bundles)
