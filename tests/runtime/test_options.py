"""A word of the command line that means nothing is named, with what was expected."""

from __future__ import annotations

import pytest

from dwskd_monai.runtime.command import main
from tests.reading.dicom_files import write
from tests.runtime.made import make_classifier


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--accept", text], f"argument --accept: expected a list such as ['view=LATERAL', 'slices=any'], got {text}")
        for text in ("[view=LATERAL]", "['view=LATERAL'", "[1]", "[os.remove('x')]")
    ]
    + [
        (["--threads", text], f"argument --threads: expected a whole number, 0 or more; got {text!r}")
        for text in ("-1", "two")
    ],
)
def test_a_value_without_a_meaning_is_refused_before_anything_is_read(capsys, words, expected):
    with pytest.raises(SystemExit) as end:
        main(["studies", "--out", "out", *words], "model.onnx", "chest-xray")
    assert end.value.code == 2
    assert capsys.readouterr().err.endswith(f"chest-xray: error: {expected}\n")


@pytest.mark.parametrize("option", ["--out", "--dicom_out"])
def test_a_file_where_a_folder_is_expected_is_named(tmp_path, capsys, option):
    (tmp_path / "studies").mkdir()
    model = make_classifier(tmp_path / "models", write(tmp_path / "studies" / "xray.dcm"), fitted=False)
    file = tmp_path / "file"
    file.touch()
    folders = {"--out": str(tmp_path / "out"), "--dicom_out": str(tmp_path / "answers")} | {option: str(file)}
    words = [word for pair in folders.items() for word in pair]
    assert main([str(tmp_path / "studies"), *words], model, "chest-xray") == 2
    name = option.removeprefix("--")
    expected = f"chest-xray: {name}: {file} is a file; give a folder that you can write to: {option} DIR\n"
    assert capsys.readouterr().err.endswith(expected)
