"""A word of the command line that means nothing is named, with what was expected."""

from __future__ import annotations

import pytest

from dwskd_monai.runtime.command import main


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
