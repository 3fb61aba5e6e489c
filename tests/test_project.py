"""What a kept repository has: one version, a citation, workflows that run what is there."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

import dwskd_monai
from dwskd_monai.dicom_out.answers import HIGHDICOM
from tests.bundles.test_configs import each_bundle
from tests.conftest import REPOSITORY

WORKFLOWS = sorted((REPOSITORY / ".github" / "workflows").glob("*.yml"))
VERSION = dwskd_monai.__version__


def test_the_version_is_that_of_the_citation_and_the_newest_in_the_changelog():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert citation["version"] == VERSION
    newest = re.search(r"^## (\S+)", (REPOSITORY / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest[1] == VERSION


@each_bundle
def test_the_version_is_that_of_the_bundles(bundle):
    metadata = yaml.safe_load((bundle / "configs" / "metadata.json").read_text())
    assert metadata["version"] == VERSION
    assert VERSION in metadata["changelog"]


def test_files_that_pages_name_have_this_version():
    for page in ("README.md", "docs/start.md", "docs/packing.md", "docs/monailabel.md"):
        text = (REPOSITORY / page).read_text()
        named = re.findall(r"dwskd_monai-([\d.]+)-py3|_classification_v([\d.]+)\.zip", text)
        assert named, page
        assert {first or second for first, second in named} == {VERSION}, page


def test_the_suite_and_a_deployed_wheel_need_the_same_highdicom():
    extras = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert HIGHDICOM in extras["export"]


def test_the_citation_names_the_paper():
    citation = yaml.safe_load((REPOSITORY / "CITATION.cff").read_text())
    assert {"cff-version", "message", "title", "authors"} <= set(citation), "which the format demands"
    paper = citation["preferred-citation"]
    names = [author["family-names"] for author in paper["authors"]]
    assert f"{', '.join(names)}. *{paper['title'].rpartition(' Medical ')[0]} Medical" in " ".join(
        (REPOSITORY / "bundles" / "lung_ct_classification" / "docs" / "README.md").read_text().split()
    )


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_workflows_run_targets_of_the_makefile_on_supported_pythons(path):
    workflow = yaml.safe_load(path.read_text())
    targets = set(re.findall(r"^([\w-]+):", (REPOSITORY / "Makefile").read_text(), re.MULTILINE))
    supported = re.search(r'requires-python = ">=([\d.]+)"', (REPOSITORY / "pyproject.toml").read_text())[1]
    for job in workflow["jobs"].values():
        steps = [step["run"].split() for step in job["steps"] if "run" in step]
        assert steps
        assert {words[1] for words in steps if words[0] == "make"} <= targets
        versions = job.get("strategy", {}).get("matrix", {}).get("python-version", [supported])
        assert versions[0] == supported


def test_there_are_workflows_for_tests_documents_and_the_wheel():
    assert [path.stem for path in WORKFLOWS] == ["docs", "tests", "wheel"]
