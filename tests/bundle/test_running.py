"""How a run of a bundle begins and how it ends: by the real command, on a config that needs no time."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import monai.bundle
import pytest
from monai.bundle import ConfigParser

from dwskd_monai.bundle import find_bundle_root, prepare_run
from tests.conftest import BUNDLE

CONFIG = """
verbose: false
output_dir: out
resume: false
size: 8
cache_dir: here
loss: {_target_: builtins.dict, flag: true}
copied: "%loss"
written:
  _target_: pathlib.Path.write_text
  self: "$__import__('pathlib').Path('written.txt')"
  data: "$repr([@resume, @size, @cache_dir, @copied])"
initialize: []
run:
- _target_: dwskd_monai.bundle.prepare_run
- "@written"
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "config.yaml").write_text(CONFIG)
    (tmp_path / "metadata.json").write_text('{"class": "true"}')
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, **overrides: object) -> str:
    """What the run wrote."""
    with pytest.warns(UserWarning, match="Only proceed if this config is from a source you trust"):
        monai.bundle.run(config_file=str(folder / "config.yaml"), meta_file=str(folder / "metadata.json"), **overrides)
    return (folder / "written.txt").read_text()


def test_words_become_values_also_where_a_macro_copied_them(folder):
    overrides = {"resume": "true", "cache_dir": "null", "loss#flag": "FALSE"}
    assert run(folder, **overrides) == "[True, 8, None, {'flag': False}]"
    assert run(folder) == "[False, 8, 'here', {'flag': True}]"
    assert run(folder, cache_dir=None) == "[False, 8, None, {'flag': True}]"


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"resum": True}, r"resum is not a setting of config.yaml; did you mean resume\?"),
        ({"resume": "yes"}, "resume must be true or false; got 'yes'"),
        ({"size": "large"}, "size must be a number, such as 8; got 'large'"),
    ],
)
def test_what_cannot_be_meant_is_refused_before_anything_runs(folder, overrides, message):
    with pytest.raises(RuntimeError) as caught:
        run(folder, **overrides)
    assert caught.value.__cause__ is not None
    with pytest.raises(ValueError, match=message):
        raise caught.value.__cause__
    assert not (folder / "written.txt").exists()


def test_a_component_takes_one_more_argument(folder):
    assert run(folder, **{"loss#more": 2}) == "[False, 8, 'here', {'flag': True, 'more': 2}]"


def command(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    arguments = ["-m", "monai.bundle", "run", "--config_file", "config.yaml", "--meta_file", "metadata.json", *options]
    return subprocess.run([sys.executable, *arguments], cwd=folder, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_bad_input_ends_with_one_message_and_code_2_and_the_traceback_is_in_the_log(folder):
    result = command(folder, "--size", "large")
    assert result.returncode == 2
    assert result.stderr.rstrip().endswith("error: size must be a number, such as 8; got 'large'")
    assert "Traceback" not in result.stderr
    log = (folder / "out" / "error.log").read_text()
    assert "Failed to instantiate component" in log
    assert "ValueError: size must be a number" in log


@pytest.mark.slow
def test_the_traceback_is_printed_where_it_is_asked_for_and_for_faults_of_a_program(folder):
    result = command(folder, "--size", "large", "--verbose", "true")
    assert result.returncode == 2
    assert "Traceback" in result.stderr
    assert result.stderr.rstrip().endswith("error: size must be a number, such as 8; got 'large'")
    result = command(folder, "--written#data", "$1 / 0")
    assert result.returncode == 1
    assert "ZeroDivisionError" in result.stderr
    assert "error.log" not in result.stderr


def test_the_bundle_is_found_where_monai_put_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(BUNDLE), str(tmp_path)])
    assert find_bundle_root() == str(BUNDLE)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path)])
    assert find_bundle_root() == str(tmp_path)


def test_a_config_that_no_workflow_runs_is_left_alone():
    parser = ConfigParser({"word": "true", "run": {"_target_": "dwskd_monai.bundle.prepare_run"}})
    parser.get_parsed_content("run")
    assert parser["word"] == "true"
    prepare_run()
