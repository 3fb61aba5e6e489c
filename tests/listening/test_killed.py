"""The command of a real classifier: killed between receiving and sending, it answers each study once."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.listening.made import ANSWERS, PATIENT, Pacs, free_port, send, wait_for, xray
from tests.runtime.made import make_classifier

pytestmark = pytest.mark.slow
LIBRARIES = ("torch", "monai", "ignite", "sklearn")


class Process:
    """The command, as it is installed."""

    def __init__(self, model: Path, folder: Path, pacs: int, *options: str) -> None:
        code = f"import sys; sys.modules.update(dict.fromkeys({LIBRARIES!r})); import runpy;"
        code += "runpy.run_module('dwskd_monai.runtime', run_name='__main__')"
        words = ["listen", str(model), "--to", f"127.0.0.1:{pacs}", "--to_aet", "PACS", "--folder", str(folder)]
        self._log = folder.with_name(f"{len([*folder.parent.glob('*.log')])}.log")
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, *words, "--port", "0", "--health_port", "0", *options],
                cwd=REPOSITORY,
                stderr=log,
            )
        wait_for(lambda: "health page on" in self.log() or self._process.poll() is not None)
        self.address = ("127.0.0.1", self._number(r"DWSKD listens on 127.0.0.1:(\d+)"))
        self._health = self._number(r"health page on http://127.0.0.1:(\d+)")

    def log(self) -> str:
        return self._log.read_text()

    def _number(self, pattern: str) -> int:
        found = re.search(pattern, self.log())
        assert found, self.log()
        return int(found[1])

    def studies(self) -> dict[str, int]:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._health}/health") as page:
            return json.load(page)["studies"]

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()

    def end(self, number: signal.Signals) -> int:
        self._process.send_signal(number)
        return self._process.wait()


def test_a_killed_listener_loses_no_study_and_answers_none_twice(tmp_path):
    model = make_classifier(tmp_path / "model", _picture(tmp_path))
    folder, port = tmp_path / "listener", free_port()

    with Process(model, folder, port, "--quiet_time", "3600") as process:
        assert send(process.address, [xray(1), xray(2)]) == [0, 0]
        assert process.end(signal.SIGKILL) == -signal.SIGKILL  # before it classified

    with Process(model, folder, port, "--quiet_time", "0") as process:
        assert send(process.address, [xray(3, ViewPosition="LATERAL")]) == [0]
        wait_for(lambda: process.studies() == {"received": 0, "classified": 2, "sent": 0, "refused": 1})
        assert process.end(signal.SIGKILL) == -signal.SIGKILL  # before it sent: there is no PACS

    pacs = Pacs(port)
    with Process(model, folder, port, "--quiet_time", "0") as process:
        wait_for(lambda: process.studies()["sent"] == 2)
        assert send(process.address, [xray(1), *pacs.stored]) == [0] * (1 + 2 * ANSWERS)
        assert process.studies() == {"received": 0, "classified": 0, "sent": 2, "refused": 1}
        assert process.end(signal.SIGTERM) == 0
    pacs.stop()

    kinds = sorted((str(answer.StudyInstanceUID), str(answer.Modality)) for answer in pacs.stored)
    assert kinds == [("1.2.3.1", "OT"), ("1.2.3.1", "SR"), ("1.2.3.2", "OT"), ("1.2.3.2", "SR")]
    assert len(set(pacs.instances)) == 4
    (reason,) = folder.glob("refused/*/reason.txt")
    assert "view is LATERAL" in reason.read_text()
    logs = "".join(file.read_text() for file in tmp_path.glob("*.log"))
    assert not any(word in logs for word in (*PATIENT.split("^"), "Traceback"))


def _picture(folder: Path) -> Path:
    file = folder / "xray.dcm"
    xray(9).save_as(file, enforce_file_format=True)
    return file
