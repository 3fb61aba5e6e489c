from __future__ import annotations

import io
import os
import random
import re
import zipfile

import pytest
import torch
from torch import nn

from dwskd_monai import checkpoints


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return {"a.weight": torch.randn(30, 20), "a.bias": torch.randn(30), "count": torch.tensor(7)}


def test_what_was_written_is_loaded(tmp_path, state):
    path = tmp_path / "x.pt"
    checkpoints.write(state, path)
    for loaded in (checkpoints.load(path), checkpoints.load_tensors(path), checkpoints.load(path, mmap=True)):
        assert loaded.keys() == state.keys()
        assert all(torch.equal(loaded[name], value) for name, value in state.items())


@pytest.mark.parametrize("wrap", [lambda state: state, lambda state: {"model": state, "epoch": 3}])
def test_a_state_dict_may_be_under_a_key_in_the_file(tmp_path, state, wrap):
    path = tmp_path / "x.pt"
    checkpoints.write(wrap(state), path)
    loaded = checkpoints.load_tensors(path, under=("state_dict", "model"), mmap=True)
    assert loaded.keys() == state.keys()


def test_the_size_of_a_file_is_known_before_it_is_written(tmp_path, state):
    checkpoints.write(state, tmp_path / "x.pt")
    assert checkpoints.size_of(state) == (tmp_path / "x.pt").stat().st_size


def test_a_file_of_the_former_format_is_loaded(tmp_path, state):
    path = tmp_path / "x.pt"
    torch.save(state, path, _use_new_zipfile_serialization=False)
    assert torch.equal(checkpoints.load(path, mmap=True)["a.weight"], state["a.weight"])


def test_torch_writes_the_checksum_of_each_part(tmp_path, state):
    checkpoints.write(state, tmp_path / "x.pt")
    with zipfile.ZipFile(tmp_path / "x.pt") as archive:
        assert all(part.CRC for part in archive.infolist())


def test_a_changed_file_is_named_or_has_the_same_tensors(tmp_path, state):
    path = tmp_path / "x.pt"
    checkpoints.write(state, path)
    whole = path.read_bytes()
    chosen = random.Random(0)
    refusals = []
    for _ in range(300):
        content = bytearray(whole)
        for _ in range(chosen.choice([1, 8, 200])):
            content[chosen.randrange(len(content))] = chosen.randrange(256)
        path.write_bytes(content)
        try:
            loaded = checkpoints.load_tensors(path)
        except ValueError as error:
            refusals.append(str(error))
        else:
            assert loaded.keys() == state.keys()
            assert all(torch.equal(loaded[name], value) for name, value in state.items())
    assert len(refusals) > 200
    assert all(text.startswith(f"{path}: ") and "weights_only" not in text for text in refusals)


def torch_script() -> bytes:
    """The layout of a TorchScript archive, by which torch knows one; making one is deprecated."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        archive.writestr("net/constants.pkl", b"\x80\x02).")
        archive.writestr("net/data.pkl", b"\x80\x02).")
        archive.writestr("net/version", b"3\n")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "an empty file; copy or download it again"),
        (bytes(5000), "it begins with zeros"),
        (b"\n<!DOCTYPE html><html><body>404</body></html>", "an HTML page, not the file that was to be downloaded"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
            "a Git LFS pointer in place of the file; fetch the file itself: git lfs pull",
        ),
        (b"just some text", "damaged, or not a file of tensors that torch.save wrote"),
        (torch_script(), "expected a state dict, got a TorchScript network"),
    ],
    ids=["empty", "zeros", "page", "pointer", "text", "script"],
)
def test_a_file_of_another_kind_is_named_with_what_it_is(tmp_path, content, message):
    path = tmp_path / "x.pt"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"^{re.escape(str(path))}: .*{message}") as caught:
        checkpoints.load(path)
    assert "weights_only" not in str(caught.value)


class RunsCode:
    def __reduce__(self):
        return os.mkdir, ("made-by-a-checkpoint",)


@pytest.mark.parametrize("name", ["nn.Linear", "mkdir"])
def test_a_file_with_python_objects_is_refused_without_running_them(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    torch.save(nn.Linear(2, 2) if name == "nn.Linear" else RunsCode(), tmp_path / "x.pt")
    with pytest.raises(
        ValueError, match=r"x.pt: it holds Python objects \((torch.nn|posix).*save the state dict"
    ) as caught:
        checkpoints.load(tmp_path / "x.pt")
    assert "weights_only" not in str(caught.value)
    assert not (tmp_path / "made-by-a-checkpoint").exists()


@pytest.mark.parametrize(
    ("content", "got"),
    [
        ({"state_dict": {"a": torch.ones(1)}, "epoch": 3}, "a map of state_dict, epoch"),
        ([torch.ones(1)], "list"),
        ({}, "a map of "),
    ],
)
def test_a_file_that_is_not_a_state_dict_is_named_with_what_it_holds(tmp_path, content, got):
    torch.save(content, tmp_path / "x.pt")
    with pytest.raises(ValueError, match=rf"x.pt: expected a state dict .*, got {got}"):
        checkpoints.load_tensors(tmp_path / "x.pt")
