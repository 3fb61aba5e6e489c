"""ONNX Runtime sends nothing from where this package runs it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.conftest import REPOSITORY

SETTING = "ORT_DISABLE_TELEMETRY"
WATCHED = f"""
import os, sys
class Watch:
    def find_spec(self, name, path=None, target=None):
        if name == "onnxruntime":
            print(os.environ.get({SETTING!r}))
sys.meta_path.insert(0, Watch())
import dwskd_monai.runtime.classifier
"""


@pytest.mark.slow
@pytest.mark.parametrize(("given", "expected"), [(None, "1"), ("0", "0")])
def test_its_telemetry_is_off_before_it_is_imported_unless_somebody_wants_it(given, expected):
    environment = {name: value for name, value in os.environ.items() if name != SETTING}
    if given is not None:
        environment[SETTING] = given
    process = subprocess.run(
        [sys.executable, "-c", WATCHED], env=environment, capture_output=True, text=True, check=True, cwd=REPOSITORY
    )
    assert process.stdout == f"{expected}\n"
