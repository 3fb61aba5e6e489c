"""What a deployed classifier needs runs where neither torch nor MONAI can be imported."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

BLOCKED = ("torch", "monai", "ignite", "sklearn", "timm")
MODULES = [
    "dwskd_monai.reading.read",
    *(f"dwskd_monai.preprocessing.{name}" for name in ("expectation", "fitting", "intensity", "resizing")),
    *(
        f"dwskd_monai.evaluation.{name}"
        for name in ("evidence", "novelty", "planes", "prediction_files", "studies", "unlike")
    ),
    *(f"dwskd_monai.data.{name}" for name in ("images", "refused")),
    *(
        f"dwskd_monai.runtime.{name}"
        for name in ("classifier", "command", "deciding", "inputs", "logs", "names", "occlusion", "predicting")
    ),
    *(f"dwskd_monai.dicom_out.{name}" for name in ("answers", "capture", "modules", "page", "report", "writing")),
    *(f"dwskd_monai.listening.{name}" for name in ("c_store", "command", "health", "listener", "stow", "study")),
]


@pytest.mark.slow
def test_rooms_of_the_runtime_are_imported_with_torch_and_monai_blocked():
    code = "\n".join([
        "import sys",
        f"sys.modules.update(dict.fromkeys({BLOCKED!r}))",  # importing them raises ImportError
        "from importlib import import_module",
        f"for name in {MODULES!r}: import_module(name)",
        "from dwskd_monai.data.refused import RefusedImages",
        "RefusedImages('refused.csv').begin()",
    ])  # fmt: skip
    subprocess.run([sys.executable, "-c", code], check=True, cwd=REPOSITORY)


@pytest.mark.slow
def test_a_program_that_imports_torch_itself_needs_no_ignite(tmp_path):
    code = "\n".join([
        "import sys",
        "sys.modules['ignite'] = None",
        "import torch",
        "from dwskd_monai.data.refused import RefusedImages",
        "from dwskd_monai.reading.refusal import RefusedImage",
        "refused = RefusedImages('refused.csv')",
        "refused.list_others([RefusedImage('a.png', 'damaged')])",
        "refused.keep()",
    ])  # fmt: skip
    environment = os.environ | {"PYTHONPATH": str(REPOSITORY)}
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path, env=environment)
    assert (tmp_path / "refused.csv").read_text().splitlines()[1:] == ["a.png,damaged,damaged,,"]
