from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_an_error_in_a_config_ends_with_its_cause(tmp_path: Path):
    config = tmp_path / "config.yaml"
    config.write_text(
        "initialize: {_target_: dwskd_monai.bundle.explain_errors}\n"
        "run: {_target_: dwskd_monai.training.SelfDistillationLoss, temperature: -1}\n"
    )
    metadata = tmp_path / "metadata.json"
    metadata.write_text("{}")
    command = [sys.executable, "-m", "monai.bundle", "run", "--config_file", config, "--meta_file", metadata]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 1
    assert result.stderr.rstrip().endswith("ValueError: temperature must be greater than 0, got -1")
    assert "Failed to instantiate component" in result.stderr, "the traceback is still there"
