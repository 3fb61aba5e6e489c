from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event, Thread

import pytest

from dwskd_monai.commands.compare import process
from dwskd_monai.commands.compare.process import (
    ProcessError,
    allow_running,
    cause_in,
    end_running,
    ending_by_sigterm,
    locked_log,
    run_bundle,
)

# A command that locks a log and starts a process that lasts until its file of the same name is removed.
COMMAND = """
import subprocess, sys
from pathlib import Path
from dwskd_monai.commands.compare.process import locked_log

CHILD = "import sys, time, pathlib\\nwhile pathlib.Path(sys.argv[1]).exists(): time.sleep(0.01)"
with locked_log(Path(sys.argv[1]), "first") as log:
    subprocess.run([sys.executable, "-c", CHILD, sys.argv[2]], stdout=log)
"""


class Said(logging.Handler):
    """Sets an event once the text is logged."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text = text
        self.event = Event()

    def emit(self, record: logging.LogRecord) -> None:
        if self.text in record.getMessage():
            self.event.set()


@pytest.mark.parametrize(
    ("printed", "cause"),
    [
        (
            "Traceback …\n  line\nValueError: first\n\nRuntimeError: wrapped\n\nValueError: T is -1\n",
            "ValueError: T is -1",
        ),
        ("torch.OutOfMemoryError: no memory\n", "torch.OutOfMemoryError: no memory"),
        ("ValueError: differs:\n  a was 1\n", "ValueError: differs:\n  a was 1"),
        ("The traceback is in error.log\nerror: T is -1,\n  not 1\n", "T is -1,\n  not 1"),
        ("10%|#\r20%|##\rthe last line\n\n", "the last line"),
        ("", ""),
    ],
)
def test_the_cause_is_the_last_error_that_was_printed(printed, cause):
    assert cause_in(printed) == cause


@pytest.mark.slow
def test_a_process_that_fails_is_told_by_what_it_printed_itself(tmp_path):
    with (tmp_path / "log.txt").open("a") as log:
        log.write("ValueError: of an attempt before\n")
        with pytest.raises(ProcessError, match="FileNotFoundError: Cannot find the config file: nowhere.yaml"):
            run_bundle("training", [Path("nowhere.yaml")], log)
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert lines[1] == """$ python -m monai.bundle run training --config_file '["nowhere.yaml"]'"""


@pytest.fixture
def allowed() -> Iterator[None]:
    """What a test ends may run again in the next one."""
    yield
    allow_running()


@pytest.mark.usefixtures("allowed")
def test_processes_end_with_the_command_that_waits_for_them(monkeypatch, tmp_path):
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho begun\nexec sleep 600\n")
    python.chmod(0o755)
    monkeypatch.setattr(process.sys, "executable", str(python))
    with (tmp_path / "log.txt").open("a") as log, ThreadPoolExecutor() as pool:
        waiting = pool.submit(run_bundle, "training", [], log)
        while "begun" not in (tmp_path / "log.txt").read_text():
            assert not waiting.done()
        end_running()
        with pytest.raises(ProcessError, match=r"was killed \(SIGTERM\)"):
            waiting.result(60)
        with pytest.raises(ProcessError, match=r"was killed \(SIGTERM\)"):
            run_bundle("the next one of the same run", [], log)


@pytest.mark.usefixtures("allowed")
def test_waiting_for_another_command_ends_with_the_command(monkeypatch, tmp_path):
    said = Said("second: another command is running it; waiting")
    monkeypatch.setattr(process._logger, "handlers", [said])

    def wait() -> None:
        with locked_log(tmp_path / "log.txt", "second"):
            pass

    with locked_log(tmp_path / "log.txt", "first"), ThreadPoolExecutor() as pool:
        waiting = pool.submit(wait)
        assert said.event.wait(60)
        end_running()
        with pytest.raises(ProcessError, match="interrupted while it waited for another command"):
            waiting.result(60)


def test_sigterm_ends_a_block_by_an_exception_and_is_then_as_it_was():
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(SystemExit) as stopped, ending_by_sigterm():
        os.kill(os.getpid(), signal.SIGTERM)
        Event().wait(60)
    assert stopped.value.code == 128 + signal.SIGTERM
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_second_command_waits_for_the_first(monkeypatch, tmp_path):
    said = Said("second: another command is running it; waiting")
    monkeypatch.setattr(process._logger, "handlers", [said])
    events = []

    def second() -> None:
        with locked_log(tmp_path / "log.txt", "second"):
            events.append("second")

    waiting = Thread(target=second)
    with locked_log(tmp_path / "log.txt", "first"):
        waiting.start()
        assert said.event.wait(60)
        events.append("first")
    waiting.join()
    assert events == ["first", "second"]


def test_a_run_whose_command_was_killed_is_waited_for_until_its_process_has_ended(monkeypatch, tmp_path):
    log = tmp_path / "log.txt"
    lasting = tmp_path / "lasting"
    lasting.touch()
    said = Said("second: another command is running it; waiting")
    monkeypatch.setattr(process._logger, "handlers", [said])
    command = subprocess.Popen([sys.executable, "-c", COMMAND, str(log), str(lasting)], start_new_session=True)
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    while not children.read_text():
        assert command.poll() is None
    os.kill(command.pid, signal.SIGKILL)
    command.wait()

    def end_it() -> None:
        assert said.event.wait(60)
        lasting.unlink()

    ending = Thread(target=end_it)
    ending.start()
    with locked_log(log, "second"):
        assert not lasting.exists()
    ending.join()
