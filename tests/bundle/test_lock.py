from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dwskd_monai.bundle.lock import require_alone

HOLDER = """
import sys
from dwskd_monai.bundle.lock import require_alone
class Run: pass
run = Run()
require_alone(sys.argv[1], run)
print("held", flush=True)
sys.stdin.read()
"""


class Run:
    """In place of a workflow."""


def hold(folder: Path) -> None:
    """Run in a folder in another process, which ends at once."""
    command = [sys.executable, "-c", HOLDER, str(folder)]
    subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)


@pytest.fixture
def other(tmp_path) -> Iterator[subprocess.Popen[str]]:
    """A process that runs in ``tmp_path/out``."""
    command = [sys.executable, "-c", HOLDER, str(tmp_path / "out")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


@pytest.mark.slow
def test_a_second_process_is_refused_until_the_first_is_gone_even_if_it_was_killed(tmp_path, other, monkeypatch):
    run = Run()
    with pytest.raises(BlockingIOError, match=r"out: another run is writing there; .* --output_dir DIR"):
        require_alone(tmp_path / "out", run)
    require_alone(tmp_path / "elsewhere", run)
    monkeypatch.setenv("RANK", "1")
    require_alone(tmp_path / "out", run)  # one of several processes that train together
    monkeypatch.setenv("RANK", "0")
    other.kill()
    other.wait()
    require_alone(tmp_path / "out", run)


@pytest.mark.slow
def test_a_run_that_is_over_leaves_the_folder_to_other_processes(tmp_path):
    run = Run()
    require_alone(tmp_path / "out", run)
    with pytest.raises(subprocess.CalledProcessError):
        hold(tmp_path / "out")
    del run
    hold(tmp_path / "out")


def test_a_process_may_run_in_a_folder_again(tmp_path):
    first, second = Run(), Run()
    require_alone(tmp_path / "out", first)
    require_alone(tmp_path / "out", second)
    assert [path.name for path in (tmp_path / "out").iterdir()] == [".run.lock"]
