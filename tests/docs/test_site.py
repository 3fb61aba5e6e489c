"""What the site makes of the pages, and that nothing is missing from it."""

from __future__ import annotations

import inspect
import re
from importlib import import_module
from pathlib import Path

import pytest
import yaml

import dwskd_monai
from dwskd_monai.bundle.render import TEMPLATE
from dwskd_monai.cli import COMMANDS
from dwskd_monai.cli import command as command_of
from tests.conftest import REPOSITORY
from tests.docs.pages import PAGES, name_of

from _site.commands import command_reference  # isort: skip
from _site.configs import HEADERS, Key, config_reference, modality_reference, read_keys  # isort: skip
from _site.generated import ROOMS, with_generated  # isort: skip
from _site.links import ELSEWHERE, with_links  # isort: skip

DOCS = REPOSITORY / "docs"
CONFIGS = sorted((TEMPLATE / "configs").glob("*.yaml"))
OVERLAYS = {"demo", "train_teacher", "multi_gpu_train", "combine_students", "evaluate_exported", "against"}

CONFIG = """
# Train something.
#   python -m train --key VALUE
# ----------------------------------- where
folder: "$@root + '/eval'"    # of the logs,
                              # and errors
seed: 0
term:                         # what is learned,
  _target_: dwskd_monai.training.SoftenedKL   # or yours
  temperature: "@temperature"

network: "$@network_def.to(@device)"
train#dataset:
  _target_: DataLoader
"""


def test_keys_have_the_comments_beside_them():
    assert read_keys(CONFIG) == [
        Key("folder", "where", "$@root + '/eval'", "of the logs, and errors"),
        Key("seed", "where", "0", ""),
        Key("term", "where", "", "what is learned, or yours", "dwskd_monai.training.SoftenedKL"),
        Key("network", "", "$@network_def.to(@device)", ""),
        Key("train#dataset", "", "", "", "DataLoader"),
    ]
    assert [key.name for key in read_keys(CONFIG) if key.is_setting] == ["folder", "seed", "term"]


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_no_key_of_a_config_is_missing_and_values_are_those_of_yaml(path):
    content = yaml.safe_load(path.read_text())
    keys = {key.name: key for key in read_keys(path.read_text())}
    assert list(keys) == list(content)
    for name, value in content.items():
        if not isinstance(value, (dict, list)):
            assert yaml.safe_load(keys[name].value) == value if keys[name].value[0] not in "$@%" else value, name


@pytest.mark.parametrize(
    "path",
    [
        *(path for path in CONFIGS if path.stem not in OVERLAYS),
        *(TEMPLATE / "headers" / f"{name}.yaml" for name in HEADERS),
    ],
    ids=lambda path: path.stem,
)
def test_each_setting_has_a_comment(path):
    keys = read_keys(path.read_text())
    assert [key.name for key in keys if key.is_setting and not key.comment] == []


def test_the_page_of_settings_has_each_config():
    page = (DOCS / "configs.md").read_text()
    shown = set(re.findall(r"<!-- config: (\w+) -->", page))
    assert {path.stem for path in CONFIGS} - shown == {"study_transforms", "aggregation"}, "which have no settings"
    assert "| `max_epochs` | epochs of the whole training | `40` |" in with_generated(page)
    assert "`axial` (ct, lung_ct)" in modality_reference()
    assert config_reference("demo").count("```") == 2, "the command that it is for"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_page_of_commands_has_each_command_with_its_options(name):
    assert f"## {name}\n\n<!-- command: {name} -->" in (DOCS / "commands.md").read_text()
    rows = [line for line in command_reference(name).splitlines() if line.startswith("| `")]
    assert len(rows) == len(inspect.signature(command_of(name)).parameters)
    for row in rows:
        assert row.split(" | ")[-1] != " |", f"{row} says nothing"


def test_each_room_with_public_names_has_a_page():
    packages = [path.parent for path in Path(dwskd_monai.__file__).parent.glob("*/__init__.py")]
    public = {folder.name for folder in packages if hasattr(import_module(f"dwskd_monai.{folder.name}"), "__all__")}
    assert set(ROOMS) == public
    for room in ROOMS:
        assert f"<!-- api: {room} -->" in (DOCS / "api" / f"{room}.md").read_text()


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_between_files_lead_somewhere(page):
    targets = re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_links_lead_to_pages_of_the_site_downloads_or_nowhere():
    text = (
        "[a](weight_selection.md#rules) [b](../CONTRIBUTING.md) ![c](../benchmarks/figures/by_fraction.png) "
        "[d](../tools/monailabel.sh) [e](../benchmarks/grids) [f](https://docs.monai.io)"
    )
    assert with_links(text, DOCS / "data.md", Path()) == (
        "[a](/weight_selection.md#rules) [b](/contributing.md) ![c](../benchmarks/figures/by_fraction.png) "
        "[d](path:../tools/monailabel.sh) e [f](https://docs.monai.io)"
    )


@pytest.mark.parametrize(("docname", "file"), ELSEWHERE.items())
def test_a_page_whose_text_is_elsewhere_says_where(docname, file):
    page = DOCS / f"{docname}.md"
    (target,) = re.findall(r"\]\(([^)]+)\)", page.read_text())
    assert (page.parent / target).resolve() == REPOSITORY / file
