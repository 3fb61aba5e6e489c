from __future__ import annotations

import logging

import huggingface_hub
import pytest
import timm
import torch
from safetensors.torch import save_file
from timm.layers import resample_abs_pos_embed

from dwskd_monai.training.teachers import (
    create_teacher,
    initialize_students,
    initialize_teacher,
    load_backbone,
    stochastic_depth,
)
from dwskd_monai.weight_selection import Teacher
from tests.conftest import tiny_convnext, tiny_vit

TINY = {"dims": (8, 16, 24, 32), "depths": (1, 1, 2, 1)}


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_teacher_from_a_file_keeps_all_but_the_classifier(tmp_path, suffix):
    saved = tiny_convnext(num_classes=7)
    path = tmp_path / f"teacher{suffix}"
    (torch.save if suffix == ".pt" else save_file)(saved.state_dict(), path)
    teacher = create_teacher("convnext_atto", str(path), num_classes=3, **TINY)
    expected = saved.state_dict()
    for name, tensor in teacher.state_dict().items():
        if name.startswith("head.fc."):
            assert len(tensor) == 3
        else:
            assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
@pytest.mark.parametrize("prefix", ["module.", "_orig_mod.", "model.", "module._orig_mod.", "encoder.", "backbone."])
def test_a_prefix_that_a_program_put_before_the_names_of_a_teacher_is_left_out_and_said(
    tmp_path, caplog, suffix, prefix
):
    saved = tiny_convnext(num_classes=7).state_dict()
    path = tmp_path / f"teacher{suffix}"
    (torch.save if suffix == ".pt" else save_file)({f"{prefix}{name}": value for name, value in saved.items()}, path)
    with caplog.at_level(logging.INFO, "dwskd_monai"):
        teacher = create_teacher("convnext_atto", str(path), num_classes=3, **TINY)
    assert f"{path}: the names of the tensors begin with {prefix!r}; this prefix is left out" in caplog.text
    for name, tensor in teacher.state_dict().items():
        assert name.startswith("head.fc.") or torch.equal(tensor, saved[name]), name


def test_students_take_from_a_file_with_a_prefix_what_they_take_from_one_without(tmp_path):
    saved = tiny_convnext((16, 32, 48, 64)).state_dict()
    taken = []
    for prefix in ("", "module."):
        path = tmp_path / f"{prefix}teacher.pt"
        torch.save({f"{prefix}{name}": value for name, value in saved.items()}, path)
        student = tiny_convnext()
        torch.nn.init.zeros_(student.head.fc.weight)
        initialize_students(student, None, Teacher(tiny_convnext((16, 32, 48, 64), num_classes=0), path))
        taken.append(student.state_dict())
    without, with_prefix = taken
    assert all(torch.equal(without[name], value) for name, value in with_prefix.items())


@pytest.mark.parametrize("prefix", ["student.", "decoder.", "my_module."])
def test_a_prefix_that_no_program_is_known_to_put_there_is_refused(tmp_path, prefix):
    saved = tiny_convnext().state_dict()
    torch.save({f"{prefix}{name}": value for name, value in saved.items()}, tmp_path / "teacher.pt")
    with pytest.raises(ValueError, match=f"unexpected {prefix}"):
        create_teacher("convnext_atto", str(tmp_path / "teacher.pt"), **TINY)


def test_of_two_networks_in_one_file_none_is_taken(tmp_path):
    saved = tiny_convnext().state_dict()
    both = {f"{prefix}{name}": value for prefix in ("model.", "module.") for name, value in saved.items()}
    torch.save(both, tmp_path / "teacher.pt")
    with pytest.raises(ValueError, match="unexpected model.head"):
        create_teacher("convnext_atto", str(tmp_path / "teacher.pt"), **TINY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"<html>", "an HTML page"),
        (b"version https://git-lfs.github.com/spec/v1", "a Git LFS pointer"),
        (b"", "an empty file"),
        (b"\x10\x00\x00\x00\x00\x00\x00\x00{}", "damaged, or not a .safetensors file"),
    ],
)
def test_a_safetensors_file_that_is_not_one_is_named(tmp_path, content, message):
    path = tmp_path / "teacher.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"teacher.safetensors: {message}"):
        create_teacher("convnext_atto", str(path), **TINY)


@pytest.mark.parametrize(
    ("model_name", "rate", "expected"),
    [
        ("convnext_atto", 0.0, 0.0),
        ("convnext_atto", 0.1, 0.1),
        ("swin_tiny_patch4_window7_224", 0.0, 0.0),  # whose own default is 0.1
        ("densenet121", 0.0, None),
        ("my_network", 0.2, 0.2),
    ],
)
def test_stochastic_depth_is_left_out_of_networks_that_have_none(model_name, rate, expected):
    assert stochastic_depth(model_name, rate) == expected
    if timm.is_model(model_name):
        with torch.device("meta"):
            timm.create_model(model_name, drop_path_rate=expected)


def test_stochastic_depth_of_a_network_that_has_none_is_refused():
    with pytest.raises(ValueError, match=r"drop_path_rate: densenet121 has no stochastic depth; got 0.1, leave it 0"):
        stochastic_depth("densenet121", 0.1)


def test_a_classifier_of_the_same_size_is_new_too(tmp_path):
    saved = tiny_convnext(num_classes=3)
    torch.save(saved.state_dict(), tmp_path / "teacher.pt")
    teacher = create_teacher("convnext_atto", str(tmp_path / "teacher.pt"), num_classes=3, **TINY)
    assert not torch.equal(teacher.head.fc.weight, saved.head.fc.weight)


def test_a_teacher_without_a_classifier_leaves_the_files_out(tmp_path):
    saved = tiny_convnext(num_classes=3)
    torch.save(saved.state_dict(), tmp_path / "teacher.pt")
    teacher = create_teacher("convnext_atto", str(tmp_path / "teacher.pt"), **TINY)
    assert torch.equal(teacher.head.norm.weight, saved.head.norm.weight)
    assert not [name for name in teacher.state_dict() if name.startswith("head.fc")]


def test_a_color_file_serves_a_grayscale_teacher(tmp_path):
    saved = tiny_convnext(in_chans=3)
    torch.save(saved.state_dict(), tmp_path / "teacher.pt")
    teacher = create_teacher("convnext_atto", str(tmp_path / "teacher.pt"), in_chans=1, **TINY)
    assert torch.allclose(teacher.stem[0].weight, saved.stem[0].weight.sum(1, keepdim=True), atol=1e-6)


def test_position_embedding_of_a_file_is_resampled(tmp_path):
    saved, network = tiny_vit(), tiny_vit(img_size=64)
    torch.save(saved.state_dict(), tmp_path / "teacher.pt")
    load_backbone(network, tmp_path / "teacher.pt")
    assert torch.equal(network.pos_embed, resample_abs_pos_embed(saved.pos_embed, [8, 8], num_prefix_tokens=1))


def test_a_teacher_is_made_for_the_size_of_the_images_if_it_needs_one(tmp_path):
    arguments = {"embed_dim": 16, "num_heads": 2, "depth": 1}
    saved = timm.create_model("vit_tiny_patch16_224", in_chans=1, **arguments)
    torch.save(saved.state_dict(), tmp_path / "teacher.pt")
    teacher = create_teacher("vit_tiny_patch16_224", str(tmp_path / "teacher.pt"), image_size=48, **arguments)
    assert torch.equal(teacher.pos_embed, resample_abs_pos_embed(saved.pos_embed, [3, 3], num_prefix_tokens=1))
    assert teacher(torch.zeros(1, 1, 48, 48)).shape == (1, 16)
    create_teacher("convnext_atto", "random", image_size=48, **TINY)  # takes any size, and no argument for it


def test_a_file_of_another_network_is_named_with_its_tensors(tmp_path):
    torch.save(tiny_convnext((8, 16, 24, 40)).state_dict(), tmp_path / "wider.pt")
    network = tiny_convnext()
    before = network.stem[0].weight.clone()
    with pytest.raises(
        ValueError, match=r"wider.pt: does not fit convnext_atto.*\(40, 24, 2, 2\) in the teacher's weights"
    ):
        load_backbone(network, tmp_path / "wider.pt")
    assert torch.equal(network.stem[0].weight, before)
    torch.save({"something": torch.zeros(1)}, tmp_path / "empty.pt")
    with pytest.raises(ValueError, match=r"empty.pt: does not fit.*missing"):
        load_backbone(network, tmp_path / "empty.pt")


def test_no_file_and_no_state_dict_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="no file .*nowhere.pt.*'pretrained'"):
        create_teacher("convnext_atto", str(tmp_path / "nowhere.pt"))
    (tmp_path / "text.pt").write_text("hello")
    with pytest.raises(ValueError, match="text.pt: damaged, or not a file of tensors"):
        create_teacher("convnext_atto", str(tmp_path / "text.pt"))


def test_without_network_both_remedies_are_told(monkeypatch, tmp_path):
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(OSError, match=r"convnext_atto.d2_in1k.*hub can be reached, or .*--teacher_weights FILE"):
        create_teacher("convnext_atto.d2_in1k", "pretrained")


def test_a_model_without_pretrained_weights_tells_the_remedies():
    with pytest.raises(OSError, match="--teacher_weights FILE"):
        create_teacher("convnext_zepto_rms_ols", "pretrained", pretrained_cfg={})


def test_an_unknown_model_names_some_that_exist():
    with pytest.raises(ValueError, match="timm knows no model 'convnext_giant'; it has for instance convnext_"):
        create_teacher("convnext_giant", "random")


def test_initialize_teacher_keeps_the_new_classifier(tmp_path):
    saved, network = tiny_convnext(), tiny_convnext()
    torch.save(saved.state_dict(), tmp_path / "teacher.pt")
    classifier = network.head.fc.weight.clone()
    initialize_teacher(network, "convnext_atto", str(tmp_path / "teacher.pt"), **TINY)
    assert torch.equal(network.head.fc.weight, classifier)
    assert torch.equal(network.stem[0].weight, saved.stem[0].weight)


def test_initialize_students_logs_what_it_did(caplog):
    caplog.set_level("INFO")
    teacher, main, auxiliary = tiny_convnext((16, 32, 48, 64)), tiny_convnext(), tiny_convnext()
    report = initialize_students(main, auxiliary, Teacher(teacher))
    assert report.overlap == 0
    assert torch.equal(auxiliary.stem[0].weight, teacher.stem[0].weight[1::2])
    assert "overlap 0.00%" in caplog.text
