"""The command ``select``, as its users call it."""

from __future__ import annotations

import json

import pytest
import timm
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from dwskd_monai.cli import main
from dwskd_monai.weight_selection import Rules, select_pair

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def teacher_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    torch.manual_seed(1)
    save_file(timm.create_model("mobilenetv4_conv_small", in_chans=1, num_classes=4).state_dict(), path)
    return path


def arguments(teacher_file, out, *more):
    pair = ("--teacher", "mobilenetv4_conv_small", "--student", "mobilenetv4_conv_small_050")
    return ["select", *pair, "--teacher_weights", str(teacher_file), "--out", str(out), *more]


def test_files_hold_what_the_library_selects_and_can_be_loaded_by_timm(teacher_file, tmp_path, capsys):
    main(arguments(teacher_file, tmp_path / "out", "--elements", "importance", "--num_classes", "3"))
    assert "coverage of the teacher" in capsys.readouterr().out
    teacher = timm.create_model("mobilenetv4_conv_small", in_chans=1, num_classes=4)
    teacher.load_state_dict(load_file(teacher_file))
    students = [timm.create_model("mobilenetv4_conv_small_050", in_chans=1, num_classes=3) for _ in range(2)]
    expected = select_pair(teacher, *students, Rules(elements="importance"))
    for name, student, report in zip(("main", "auxiliary"), students, (expected.main, expected.auxiliary)):
        path = tmp_path / "out" / f"{name}.safetensors"
        found = load_file(path)
        for key, tensor in student.state_dict().items():
            assert key.startswith("classifier.") or torch.equal(found[key], tensor), key
        with safe_open(path, framework="pt") as file:
            assert json.loads(file.metadata()["report"]) == json.loads(json.dumps(report.as_json()))
        timm.create_model("mobilenetv4_conv_small_050", in_chans=1, num_classes=3, checkpoint_path=str(path))
    content = json.loads((tmp_path / "out" / "report.json").read_text())
    assert content["overlap"] == pytest.approx(expected.overlap)
    assert content["main"]["dimensions"].keys() == expected.main.dimensions.keys()
    page = (tmp_path / "out" / "report.md").read_text()
    assert "| blocks.2 | 6 | 0, 1, 2, 3, 4, 5 |" in page
    assert "New: classifier.weight, classifier.bias." in page


def test_features_are_compared_on_images(teacher_file, tmp_path, phantoms):
    main(arguments(teacher_file, tmp_path / "out", "--images", str(phantoms / "test")))
    assert (tmp_path / "out" / "similarity.png").read_bytes().startswith(b"\x89PNG")
    similarity = json.loads((tmp_path / "out" / "report.json").read_text())["similarity"]
    lines = {"main (uniform)", "auxiliary (uniform)", "random weights", "consecutive", "random", "importance"}
    assert similarity.keys() == lines
    blocks = set(similarity["main (uniform)"])
    assert {"blocks.0.0", "blocks.2.5", "blocks.4.0"} <= blocks
    assert all(-1 <= value <= 1 + 1e-9 for values in similarity.values() for value in values.values())
    assert "![linear CKA](similarity.png)" in (tmp_path / "out" / "report.md").read_text()
    main(arguments(teacher_file, tmp_path / "out", "--force"))
    assert not (tmp_path / "out" / "similarity.png").exists(), "a figure of other weights is no longer true"


def refusal(capsys, command):
    with pytest.raises(SystemExit) as exit_:
        main(command)
    assert exit_.value.code == 2
    return capsys.readouterr().err


def test_what_is_there_is_not_overwritten_without_force(teacher_file, tmp_path, capsys):
    out = tmp_path / "out"
    main(arguments(teacher_file, out))
    before = (out / "main.safetensors").read_bytes()
    message = refusal(capsys, arguments(teacher_file, out, "--elements", "random"))
    assert f"{out} already has main.safetensors, auxiliary.safetensors, report.json, report.md" in message
    assert (out / "main.safetensors").read_bytes() == before
    main(arguments(teacher_file, out, "--elements", "random", "--force"))
    assert (out / "main.safetensors").read_bytes() != before


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--elements", "best"], "elements must be one of uniform, consecutive, random, importance, got 'best'"),
        (["--layers", "{'blocks.9': [0]}"], "layers: no stage blocks.9; the student's stages are blocks, blocks.0"),
        (["--images", "nowhere"], "images: nowhere is not a folder"),
        (["--rescale", "perhaps"], "rescale must be true or false"),
        (["--student", "resnet18"], "one family, got teacher MobileNetV3 and student ResNet"),
        (["--teacher_weights", "none.pt"], "teacher_weights: no file none.pt"),
    ],
)
def test_bad_input_is_named_and_nothing_is_written(teacher_file, tmp_path, capsys, more, message):
    assert message in refusal(capsys, [*arguments(teacher_file, tmp_path / "out"), *more])
    assert not (tmp_path / "out").exists()
