from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import pytest

from dwskd_monai.cli import main
from tests.conftest import BUNDLE


def test_phantoms_says_what_it_wrote(tmp_path, capsys):
    main(["phantoms", "chest_xray", str(tmp_path / "new"), "--count", "60"])
    assert "phantoms written, listed in" in capsys.readouterr().out
    assert (tmp_path / "new" / "datalist.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["phantoms", "knee"], "modality must be one of chest_xray, lung_ct, brain_mri"),
        (["phantoms", "chest_xray", "--count", "3"], "count must be at least 60"),
    ],
)
def test_bad_input_ends_with_its_message_and_code_2(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments[:2], str(tmp_path / "new"), *arguments[2:]])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_render_says_what_it_wrote_and_check_ends_with_code_2(tmp_path, capsys):
    shutil.copytree(BUNDLE.parent, tmp_path / "bundles", ignore=shutil.ignore_patterns("*.pt", "eval", "cache"))
    page = tmp_path / "bundles" / "lung_ct_classification" / "docs" / "README.md"
    page.unlink()
    with pytest.raises(SystemExit) as stopped:
        main(["render", "--check", "--bundles", str(tmp_path / "bundles")])
    assert stopped.value.code == 2
    assert "not as rendered: lung_ct_classification/docs/README.md" in capsys.readouterr().err
    main(["render", "--bundles", str(tmp_path / "bundles")])
    assert capsys.readouterr().out == f"{page}\n"
    main(["render", "--check", "--bundles", str(tmp_path / "bundles")])
    assert capsys.readouterr().out == "all files are as rendered\n"


def test_the_module_runs_as_a_command():
    result = subprocess.run(
        [sys.executable, "-m", "dwskd_monai", "phantoms", "--help"], capture_output=True, text=True, check=True
    )
    assert "MODALITY" in result.stdout + result.stderr


HELP = """
import contextlib, io, sys
from dwskd_monai.cli import COMMANDS, main
for words in ([], *([name] for name in COMMANDS)):
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            main([*words, "--help"])
        except SystemExit as stopped:
            assert stopped.code == 0, words
    assert (words or ["COMMANDS"])[0] in said.getvalue(), words
print(sorted({"torch", "monai", "timm", "numpy", "yaml"} & set(sys.modules)))
"""


def test_help_of_each_command_imports_nothing_that_takes_seconds():
    result = subprocess.run([sys.executable, "-c", HELP], capture_output=True, text=True, check=True)
    assert result.stdout == "[]\n"


@pytest.mark.parametrize(
    ("words", "printed"),
    [
        (
            ["train", "BUNDLE", "DIR", "--demo", "--teacher", "convnext_nano", "--cache_dir", "null"],
            "run training --config_file \"['BUNDLE/configs/train.yaml','BUNDLE/configs/demo.yaml']\" "
            "--dataset_dir DIR --teacher convnext_nano --cache_dir null",
        ),
        (
            ["train", "BUNDLE", "--large_model", "--windows", "[[400,40]]"],
            "run training --config_file \"['BUNDLE/configs/train.yaml','BUNDLE/configs/train_teacher.yaml']\" "
            "--windows '[[400, 40]]'",
        ),
        (
            ["evaluate", "BUNDLE", "DIR", "--split", "all", "--allow_trained_images", "true"],
            "run --config_file \"['BUNDLE/configs/train.yaml','BUNDLE/configs/evaluate.yaml']\" "
            "--dataset_dir DIR --split all --allow_trained_images true",
        ),
        (
            ["evaluate", "BUNDLE", "--against", "BUNDLE"],
            "run --config_file \"['BUNDLE/configs/train.yaml','BUNDLE/configs/evaluate.yaml',"
            "'BUNDLE/configs/against.yaml']\" --split test --against BUNDLE",
        ),
        (
            ["predict", "BUNDLE", "STUDIES", "--out", "here", "--batch_size", "4"],
            "run --config_file BUNDLE/configs/inference.yaml --dataset_dir STUDIES --output_dir here --batch_size 4",
        ),
    ],
)
def test_short_forms_print_the_command_that_they_run_and_end_with_its_code(monkeypatch, capsys, words, printed):
    ran = []

    def start(command):
        ran.append(command)
        return SimpleNamespace(wait=lambda: 2)

    monkeypatch.setattr("dwskd_monai.bundle.monai_command.subprocess.Popen", start)
    words = [str(BUNDLE) if word == "BUNDLE" else word for word in words]
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert capsys.readouterr().out == f"python -m monai.bundle {printed.replace('BUNDLE', str(BUNDLE))}\n"
    assert ran[0][0] == sys.executable
    assert ran[0][1:] == shlex.split(f"-m monai.bundle {printed.replace('BUNDLE', str(BUNDLE))}")


@pytest.mark.parametrize(("codes", "expected"), [([KeyboardInterrupt, 130], 130), ([-2], 130), ([-9], 137), ([3], 3)])
def test_a_short_form_waits_for_what_its_command_says_after_ctrl_c(monkeypatch, codes, expected):
    def wait():
        code = codes.pop(0)
        if code is KeyboardInterrupt:
            raise code
        return code

    codes = list(codes)
    monkeypatch.setattr("subprocess.Popen", lambda command: SimpleNamespace(wait=wait))
    with pytest.raises(SystemExit) as stopped:
        main(["predict", str(BUNDLE), "STUDIES"])
    assert stopped.value.code == expected


@pytest.mark.parametrize("name", ["20241105", "1e5", "None", "$x", "@x", "%x", "{a: 1}", "a#b"])
def test_a_folder_whose_name_looks_like_a_value_is_given_as_a_path(monkeypatch, tmp_path, name):
    ran = []
    monkeypatch.setattr("subprocess.Popen", lambda command: ran.append(command) or SimpleNamespace(wait=lambda: 0))
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    main(["predict", str(BUNDLE), name])
    assert ran[0][ran[0].index("--dataset_dir") + 1] == str(tmp_path / name)


@pytest.mark.parametrize("name", ["20241105", "1e5", "{a: 1}", "a#b"])
def test_so_is_a_folder_that_a_setting_names(monkeypatch, tmp_path, name):
    ran = []
    monkeypatch.setattr("subprocess.Popen", lambda command: ran.append(command) or SimpleNamespace(wait=lambda: 0))
    monkeypatch.chdir(tmp_path)
    (tmp_path / name).mkdir()
    main(["train", str(BUNDLE), "images", "--unlabeled_dir", name, f"--training_state={name}", "--cache_dir", "None"])
    for setting in ("--unlabeled_dir", "--training_state"):
        assert ran[0][ran[0].index(setting) + 1] == str(tmp_path / name)
    assert ran[0][ran[0].index("--cache_dir") + 1] == "null"


@pytest.mark.parametrize("name", ["20241105", "2024_11_05", "data,v2"])
def test_so_is_a_folder_that_is_yet_to_be_made(monkeypatch, tmp_path, name):
    ran = []
    monkeypatch.setattr("subprocess.Popen", lambda command: ran.append(command) or SimpleNamespace(wait=lambda: 0))
    monkeypatch.chdir(tmp_path)
    main(["predict", str(BUNDLE), "studies", "--out", name])
    assert ran[0][ran[0].index("--output_dir") + 1] == str(tmp_path / name)


def test_the_bundle_is_the_one_that_was_named(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    for name in ("2024", "task"):
        shutil.copytree(BUNDLE / "configs", tmp_path / name / "configs")
    ran = []
    monkeypatch.setattr("subprocess.Popen", lambda command: ran.append(command) or SimpleNamespace(wait=lambda: 0))
    main(["train", "2024", "images"])
    assert ran[0][ran[0].index("--config_file") + 1] == "2024/configs/train.yaml"
    shutil.copytree(BUNDLE / "configs", tmp_path / "task#new" / "configs")
    with pytest.raises(SystemExit):
        main(["train", "task#new", "images"])
    assert f"bundle: MONAI cannot take {tmp_path}/task#new, a path with #" in capsys.readouterr().err
    assert len(ran) == 1, "not the bundle whose name comes before the sign"


def test_so_is_one_that_another_command_writes_to(monkeypatch):
    given = []
    monkeypatch.setattr("dwskd_monai.cli.command", lambda name: lambda **options: given.append(options))
    main(["export", "--dataset_dir", "20241105", "--out", "1e5", "--batch_size", "4"])
    assert given == [{"dataset_dir": "20241105", "out": "1e5", "batch_size": 4}]


def test_a_short_form_names_a_folder_that_is_not_a_bundle(capsys, tmp_path):
    with pytest.raises(SystemExit):
        main(["predict", str(tmp_path), "STUDIES"])
    assert "configs/inference.yaml does not exist; give the folder of a bundle" in capsys.readouterr().err
