"""Two properties that hold for any file: reading it ends no process, and what is wrong with it is said with its name.

``RANDOM_CHANGES=2000 pytest -rP tests/reading/test_random_changes.py`` tries more, and shows the counts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.reading.random_changes import FORMATS

COUNT = int(os.environ.get("RANDOM_CHANGES", "150"))
CHECKED = (".png", ".nii.gz")  # files whose checksums tell each change


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_a_changed_file_is_read_or_named_and_ends_no_process(tmp_path, kind):
    command = [sys.executable, "-m", "tests.reading.random_changes", kind, str(COUNT), "0", str(tmp_path)]
    run = subprocess.run(command, capture_output=True, text=True, cwd=Path(__file__).parents[2])
    lines = [json.loads(line) for line in run.stdout.splitlines()]
    assert run.returncode == 0, f"{lines[-1:]}: {run.stderr[-2000:]}"
    results = [line for line in lines if isinstance(line, list)]
    counts = Counter(what for _, what, _ in results)
    sys.stdout.write(f"{kind}: {dict(counts)} of {len(results)}\n")
    assert [result for result in results if result[1] == "error"] == []
    assert len(results) == COUNT
    assert counts["refused"] > COUNT / 3
    assert [name for name, what, _ in results if what == "different" and name.endswith(CHECKED)] == []
