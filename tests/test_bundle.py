from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from dwskd_monai.bundle import find_bundle_root
from tests.conftest import BUNDLE


def test_the_bundle_is_found_where_monai_put_it(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", ["", str(BUNDLE), str(tmp_path)])
    assert find_bundle_root() == str(BUNDLE)
    monkeypatch.setattr(sys, "path", ["", str(tmp_path)])
    assert find_bundle_root() == str(tmp_path)


def test_an_error_in_a_config_ends_with_its_cause(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "initialize: {_target_: dwskd_monai.bundle.explain_errors}\n"
        "run: {_target_: dwskd_monai.losses.SelfDistillationLoss, temperature: -1}\n"
    )
    metadata = tmp_path / "metadata.json"
    metadata.write_text("{}")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config, "--meta_file", metadata]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.rstrip().endswith("ValueError: temperature must be greater than 0, got -1")
    assert "Failed to instantiate component" in result.stderr, "the traceback is still there"
