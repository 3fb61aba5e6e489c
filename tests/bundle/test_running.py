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
from tests.forks import Fork

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


def command(folder: Path, *options: str, forked: bool = True) -> tuple[int, str]:
    """The exit code of the command, and what it printed as errors."""
    arguments = ["-m", "monai.bundle", "run", "--config_file", "config.yaml", "--meta_file", "metadata.json", *options]
    with (folder / "printed.txt").open("w") as printed, (folder / "errors.txt").open("w") as errors:
        kind = Fork if forked else subprocess.Popen
        code = kind([sys.executable, *arguments], cwd=folder, stdout=printed, stderr=errors).wait()
    return code, (folder / "errors.txt").read_text()


@pytest.mark.slow
def test_bad_input_ends_with_one_message_and_code_2_and_the_traceback_is_in_the_log(folder):
    code, errors = command(folder, "--size", "large", forked=False)  # Python itself, from its start to its end
    assert code == 2
    assert errors.rstrip().endswith("error: size must be a number, such as 8; got 'large'")
    assert "Traceback" not in errors
    log = (folder / "out" / "error.log").read_text()
    assert "Failed to instantiate component" in log
    assert "ValueError: size must be a number" in log


@pytest.mark.slow
def test_the_traceback_is_printed_where_it_is_asked_for_and_for_faults_of_a_program(folder):
    code, errors = command(folder, "--size", "large", "--verbose", "true")
    assert code == 2
    assert "Traceback" in errors
    assert errors.rstrip().endswith("error: size must be a number, such as 8; got 'large'")
    code, errors = command(folder, "--written#data", "$1 / 0")
    assert code == 1
    assert "ZeroDivisionError" in errors
    assert "error.log" not in errors


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
