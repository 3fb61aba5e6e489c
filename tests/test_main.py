from __future__ import annotations

import subprocess
import sys

import pytest

from dwskd_monai.__main__ import main


def test_phantoms_says_what_it_wrote(tmp_path, capsys):
    main(["phantoms", "chest_xray", str(tmp_path / "new"), "--count", "60"])
    assert "60 images written, listed in" in capsys.readouterr().out
    assert (tmp_path / "new" / "datalist.csv").exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["phantoms", "knee"], "modality must be one of chest_xray"),
        (["phantoms", "chest_xray", "--count", "3"], "count must be at least 60"),
    ],
)
def test_bad_input_ends_with_its_message_and_code_2(tmp_path, capsys, arguments, message):
    with pytest.raises(SystemExit) as stopped:
        main([*arguments[:2], str(tmp_path / "new"), *arguments[2:]])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_the_module_runs_as_a_command():
    result = subprocess.run(
        [sys.executable, "-m", "dwskd_monai", "phantoms", "--help"], capture_output=True, text=True, check=True
    )
    assert "MODALITY" in result.stdout + result.stderr
