"""A listener beside a real PACS: what is lost or answered twice when it is killed, and how fast it is.

    apt-get install orthanc orthanc-dicomweb
    python benchmarks/listener.py --model model.onnx
    python benchmarks/listener.py --model model.onnx --web
    python benchmarks/listener.py --model model.onnx --what speed --studies 40 --side 2048 --rounds 4

``kills``: several senders give studies to Orthanc and to the listener, and send again what the listener does not
confirm. The listener is killed several times (SIGKILL) and started again. Orthanc sends each answer that it gets back
to the listener, as a PACS that routes everything does. At the end, Orthanc is asked for each study: its images, one SR
and one SC are expected.

``speed``: studies per minute of the listener and of a bare loop in one process, in turns; the best turn of each counts,
since other programs use the machine too. The listener is measured twice: with all studies received before, from its
start to the moment when Orthanc has the last answer; and from the first image to the last answer.
"""

from __future__ import annotations

import contextlib
import json
import queue
import random
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian
from pynetdicom import AE

from dwskd_monai.listening.journal import digest_of

_DICOM, _HTTP, _PORT, _HEALTH = 15242, 15042, 15112, 15113
_ROOT = "1.2.826.0.1.3680043.8.498.23"
_PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
_TOO_LONG = 1800.0  # seconds
_LUA = """
function OnStoredInstance(id, tags, metadata, origin)
  if tags['Manufacturer'] ~= 'benchmark' then
    SendToModality(id, 'listener')
  end
end
"""


def benchmark(
    model: str,
    what: str = "kills",
    studies: int = 200,
    side: int = 1024,
    senders: int = 4,
    kills: int = 3,
    quiet_time: float = 10.0,
    web: bool = False,
    rounds: int = 2,
) -> None:
    """Print what is found.

    Args:
        model: the file that dwskd export wrote.
        what: ``kills`` or ``speed``.
        studies: how many; for ``kills``, every fourth has two images.
        side: of an image in pixels.
        senders: that send at the same time.
        kills: how many times the listener is killed.
        quiet_time: of the listener, in seconds. If it is shorter than a sender takes to send again what was not
            confirmed, a study may first be answered without its second image, which is then counted as twice.
        web: whether answers are sent by DICOMweb.
        rounds: of turns, for ``speed``.
    """
    if what == "kills":
        _kills(model, studies, side, senders, kills, quiet_time, web)
    else:
        _speed(model, studies, side, senders, rounds)


def _kills(model: str, studies: int, side: int, senders: int, kills: int, quiet_time: float, web: bool) -> None:
    """Count what is lost and what is answered twice."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = _make_studies(folder / "studies", studies, side)
        options = ["--quiet_time", str(quiet_time), "--max_studies", "50"]
        if web:
            options += ["--to", f"http://127.0.0.1:{_HTTP}/dicom-web/studies"]
        started = time.perf_counter()
        with _orthanc(folder / "orthanc"), _Listener(model, folder / "listener", options) as listener:
            sending = _Senders(made, senders)
            for number in range(kills):
                share = (number + 1) / (kills + 1)
                _until(lambda share=share: listener.sent() >= share * studies)
                time.sleep(random.Random(number).uniform(0.0, 2.0))  # at any moment of its work
                listener.kill()
            sending.join()
            _until(lambda: _answered(made) == studies or listener.is_idle())
            _until(lambda: not [job for job in _rest("jobs?expand") if job["State"] in ("Pending", "Running", "Retry")])
            seconds = time.perf_counter() - started
            _report(made, _stored(), listener, sending, seconds)


def _speed(model: str, studies: int, side: int, senders: int, rounds: int) -> None:
    """Compare the listener with a bare loop, in turns."""
    rates: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        made = _make_studies(folder / "studies", studies, side, pairs=False)
        for number in range(rounds):
            for what in ("predict", "predict and write SR and SC"):
                rates.setdefault(what, []).append(studies / _loop(model, folder / "studies", what != "predict"))
            for what in ("listener, all received before", "listener, while it receives"):
                place = folder / f"{number} {what}"
                rates.setdefault(what, []).append(studies / _listened(model, made, place, senders, "while" in what))
    print(f"{studies} studies of {side} × {side} pixels, {rounds} rounds\n")
    print("| | studies per minute | best | best / best of the loop | median of the ratios of each round |")
    print("|---|---|---|---|---|")
    loop = rates["predict and write SR and SC"]
    for name, found in rates.items():
        shown = ", ".join(f"{60 * rate:.0f}" for rate in found)
        paired = statistics.median(one / other for one, other in zip(found, loop, strict=True))
        print(f"| {name} | {shown} | {60 * max(found):.0f} | {max(found) / max(loop):.2f} | {paired:.2f} |")


def _listened(model: str, made: Sequence[Study], place: Path, senders: int, receiving: bool) -> float:
    """Seconds that the listener takes for all studies."""
    quiet = ["--quiet_time", "0.5" if receiving else "86400"]
    with _orthanc(place / "orthanc", routes=False):
        with _Listener(model, place / "listener", quiet) as listener:
            begun = time.perf_counter()
            sending = _Senders(made, senders, to_pacs=False)
            sending.join()
            if receiving:
                _until(lambda: listener.answers() >= 2 * len(made))
                return time.perf_counter() - begun
        with _Listener(model, place / "listener", ["--quiet_time", "0"]) as listener:
            begun = time.perf_counter()
            _until(lambda: listener.answers() >= 2 * len(made))
            return time.perf_counter() - begun


def _loop(model: str, folder: Path, write: bool) -> float:
    """Seconds that a process takes for all studies, without its start."""
    code = "\n".join([
        "import sys, time",
        "from pathlib import Path",
        "from dwskd_monai.dicom_out import answer_datasets",
        "from dwskd_monai.runtime.classifier import Classifier",
        "classifier = Classifier(sys.argv[1])",
        "files = sorted(Path(sys.argv[2]).rglob('*.dcm'))",
        "write = sys.argv[3] == 'True'",
        "def run(file):",
        "    answer = classifier.answer(classifier.read(file), file, deciding=write)",
        "    if write:",
        "        for number, dataset in enumerate(answer_datasets(classifier, answer, [file])):",
        "            dataset.save_as(f'{sys.argv[4]}/{number}.dcm')",
        "run(files[0])",
        "begun = time.perf_counter()",
        "for file in files: run(file)",
        "print(time.perf_counter() - begun)",
    ])  # fmt: skip
    with tempfile.TemporaryDirectory() as out:
        words = [sys.executable, "-W", "ignore", "-c", code, model, str(folder), str(write), out]
        return float(subprocess.run(words, check=True, capture_output=True, text=True).stdout)


Study = list[Path]  # the files of its images


def _make_studies(folder: Path, count: int, side: int, pairs: bool = True) -> list[Study]:
    """Studies of random blobs; nobody's chest."""
    made = []
    for number in range(count):
        random_numbers = np.random.default_rng(number)
        images = 2 if pairs and number % 4 == 3 else 1
        study = [folder / f"{number:04d}" / f"{index}.dcm" for index in range(images)]
        for index, file in enumerate(study):
            file.parent.mkdir(parents=True, exist_ok=True)
            _image(number, index, side, random_numbers).save_as(file, enforce_file_format=True)
        made.append(study)
    return made


def _image(study: int, index: int, side: int, random_numbers: np.random.Generator) -> Dataset:
    rows, columns = np.mgrid[0:side, 0:side].astype(np.float32) / side
    pixels = random_numbers.normal(0, 40, (side, side)).astype(np.float32) + 1000
    for _ in range(4):
        row, column, size = random_numbers.uniform([0.2, 0.2, 0.1], [0.8, 0.8, 0.4])
        pixels += 1500 * np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / size**2)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = DigitalXRayImageStorageForPresentation
    dataset.PatientName = f"PATIENT^{study:04d}"
    dataset.PatientID = f"P{study:04d}"
    dataset.PatientBirthDate = dataset.PatientSex = dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StudyID = str(study)
    dataset.StudyDate, dataset.StudyTime = "20260101", "120000"
    dataset.Manufacturer = "benchmark"
    dataset.Modality = "DX"
    dataset.BodyPartExamined = "CHEST"
    dataset.ViewPosition = "PA"
    dataset.StudyInstanceUID = f"{_ROOT}.{study + 1}"
    dataset.SeriesInstanceUID = f"{_ROOT}.{study + 1}.1"
    dataset.SOPInstanceUID = f"{_ROOT}.{study + 1}.1.{index + 1}"
    dataset.SeriesNumber, dataset.InstanceNumber = 1, index + 1
    dataset.ImageType = ["ORIGINAL", "PRIMARY"]
    dataset.PresentationIntentType = "FOR PRESENTATION"
    dataset.ImageLaterality = "U"
    dataset.PixelSpacing = dataset.ImagerPixelSpacing = [0.2, 0.2]
    dataset.RescaleIntercept, dataset.RescaleSlope = 0, 1
    dataset.Rows = dataset.Columns = side
    dataset.SamplesPerPixel, dataset.PhotometricInterpretation = 1, "MONOCHROME2"
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit, dataset.PixelRepresentation = 16, 12, 11, 0
    dataset.PixelData = pixels.clip(0, 4095).astype("<u2").tobytes()
    return dataset


@contextlib.contextmanager
def _orthanc(folder: Path, routes: bool = True) -> Iterator[None]:
    """An Orthanc of our own, with its DICOMweb plugin, which may send answers back to the listener."""
    folder.mkdir(parents=True)
    (folder / "route.lua").write_text(_LUA)
    settings = {
        "Name": "benchmark",
        "StorageDirectory": str(folder / "storage"),
        "HttpPort": _HTTP,
        "DicomPort": _DICOM,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": False,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowStore": True,
        "DicomModalities": {"listener": ["DWSKD", "127.0.0.1", _PORT]},
        "Plugins": [_PLUGIN],
        "LuaScripts": [str(folder / "route.lua")] if routes else [],
        "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
    }
    (folder / "orthanc.json").write_text(json.dumps(settings))
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(["Orthanc", folder / "orthanc.json"], stdout=log, stderr=log)
    try:
        _until(lambda: process.poll() is not None or _rest("system") is not None)
        if process.poll() is not None:
            raise RuntimeError(f"Orthanc ended: {(folder / 'log').read_text()[-2000:]}")
        yield
    finally:
        process.terminate()
        process.wait()


def _rest(path: str) -> Any:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{_HTTP}/{path}") as reply:
            return json.load(reply)
    except OSError:
        return None


class _Listener:
    """The command, in a process that can be killed and started again."""

    def __init__(self, model: str, folder: Path, options: Sequence[str]) -> None:
        self._words = [sys.executable, "-m", "dwskd_monai.runtime", "listen", model]
        self._words += ["--port", str(_PORT), "--health_port", str(_HEALTH), "--folder", str(folder)]
        self._words += (
            [*options] if "--to" in options else ["--to", f"127.0.0.1:{_DICOM}", "--to_aet", "ORTHANC", *options]
        )
        self._came_back = 0
        self._log = folder.with_suffix(".log")
        self._log.parent.mkdir(parents=True, exist_ok=True)

    def __enter__(self) -> _Listener:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        assert self._process.wait() == 0, self.log()

    def _start(self) -> None:
        with self._log.open("a") as log:
            self._process = subprocess.Popen(self._words, stdout=log, stderr=log)
        _until(lambda: self._process.poll() is not None or self._page("health") is not None)
        assert self._process.poll() is None, self.log()

    def kill(self) -> None:
        """Kill it, and start it again."""
        self._came_back = self.came_back()
        self._process.kill()
        self._process.wait()
        print(f"killed after {self.sent()} studies were sent")
        self._start()

    def log(self) -> str:
        return self._log.read_text()

    def sent(self) -> int:
        """The studies that were sent, as the log has them."""
        return len(re.findall(r"study \w+: sent to", self.log()))

    def _page(self, name: str) -> str | None:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{_HEALTH}/{name}") as reply:
                return str(reply.read().decode())
        except OSError:
            return None

    def answers(self) -> int:
        """The answers that it has sent since it was started."""
        time.sleep(0.2)
        return self.counter("dwskd_answers_sent_total")

    def peak_mebibytes(self) -> int:
        """Peak memory since it was last started."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(re.findall(r"VmHWM:\s+(\d+)", status)[0]) // 1024

    def came_back(self) -> int:
        """The answers that were sent back to it, but for those of the moment when it was killed."""
        return self._came_back + self.counter('dwskd_images_total{result="own answer"}')

    def counter(self, name: str) -> int:
        """A number of the page for Prometheus."""
        lines = [line.rpartition(" ") for line in (self._page("metrics") or "").splitlines()]
        return next((int(float(value)) for found, _, value in lines if found == name), 0)

    def is_idle(self) -> bool:
        """Whether nothing waits."""
        studies = json.loads(self._page("health") or "{}").get("studies", {"received": 1})
        time.sleep(1.0)
        return not any(studies[state] for state in ("received", "classified"))


class _Senders:
    """Threads that send studies to Orthanc and to the listener until each is confirmed."""

    def __init__(self, studies: Sequence[Study], count: int, to_pacs: bool = True) -> None:
        self.confirmed = 0
        self.retries = 0
        self._lock = threading.Lock()
        self._to_pacs = to_pacs
        self._studies: queue.Queue[Study] = queue.Queue()
        for study in studies:
            self._studies.put(study)
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def join(self) -> None:
        for thread in self._threads:
            thread.join()

    def _run(self) -> None:
        with contextlib.suppress(queue.Empty):
            while True:
                study = self._studies.get_nowait()
                if self._to_pacs:
                    while not _store(study, _DICOM, "ORTHANC"):
                        time.sleep(0.2)
                while not _store(study, _PORT, "DWSKD"):
                    with self._lock:
                        self.retries += 1
                    time.sleep(0.2)
                with self._lock:
                    self.confirmed += 1


def _store(study: Study, port: int, aet: str) -> bool:
    """Whether all images of a study were confirmed."""
    node = AE("SENDER")
    node.dimse_timeout = node.acse_timeout = 5.0  # pynetdicom does not always notice that the listener was killed
    node.maximum_pdu_size = 2**17
    node.add_requested_context(DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian)
    association = node.associate("127.0.0.1", port, ae_title=aet)
    if not association.is_established:
        return False
    statuses = []
    for file in study:
        if association.is_established:
            statuses.append(association.send_c_store(file).get("Status"))
    association.release()
    return statuses == [0] * len(study)


def _stored() -> dict[str, list[str]]:
    """The modality of each object in Orthanc, by study."""
    found: dict[str, list[str]] = {}
    for series in _rest("series?expand") or []:
        study = _rest(f"series/{series['ID']}/study")["MainDicomTags"]["StudyInstanceUID"]
        modality = series["MainDicomTags"]["Modality"]
        kind = "image" if series["MainDicomTags"].get("Manufacturer") == "benchmark" else modality
        found.setdefault(study, []).extend([kind] * len(series["Instances"]))
    return found


def _expected(study: Study) -> list[str]:
    return sorted(["SR", _SC] + ["image"] * len(study))


_SC = "OT"


def _uid(study: Study) -> str:
    return str(pydicom.dcmread(study[0], stop_before_pixels=True, specific_tags=["StudyInstanceUID"]).StudyInstanceUID)


def _answered(made: Sequence[Study]) -> int:
    stored = _stored()
    return sum(sorted(stored.get(_uid(study), [])) == _expected(study) for study in made)


def _report(
    made: Sequence[Study], stored: dict[str, list[str]], listener: _Listener, sending: _Senders, seconds: float
) -> None:
    lost = [study for study in made if not set(_expected(study)) <= set(stored.get(_uid(study), []))]
    exact = sum(sorted(stored.get(_uid(study), [])) == _expected(study) for study in made)
    twice = [study for study in made if len(stored.get(_uid(study), [])) > len(_expected(study))]
    print(f"{len(made)} studies in {seconds:.0f} s, {sending.retries} attempts to send one that failed")
    print(f"answered once: {exact}; lost: {len(lost)}; answered twice: {len(twice)}")
    refused = len(re.findall(r"is refused", listener.log()))
    print(f"refused: {refused}; answers that Orthanc sent back, and were known: {listener.came_back()}")
    print(f"peak memory of the listener since its last start: {listener.peak_mebibytes()} MiB")
    if exact == len(made):
        return
    for study in made:
        if sorted(stored.get(_uid(study), [])) != _expected(study):
            digest = digest_of(_uid(study))
            print(_uid(study), stored.get(_uid(study), []))
            print("\n".join(line for line in listener.log().splitlines() if digest in line or "listens on" in line))
    sys.exit(1)


def _until(holds: Any) -> None:
    end = time.monotonic() + _TOO_LONG
    while not holds():
        if time.monotonic() > end:
            raise TimeoutError("it takes too long")
        time.sleep(0.1)


if __name__ == "__main__":
    import fire

    fire.Fire(benchmark)
