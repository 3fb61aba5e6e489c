from __future__ import annotations

import shutil
import subprocess
import sys

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
