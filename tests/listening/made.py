"""Studies, a PACS and a classifier for the tests of the listener."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ComputedRadiographyImageStorage, ExplicitVRLittleEndian, SecondaryCaptureImageStorage
from pynetdicom import AE, evt
from pynetdicom.sop_class import Verification

from dwskd_monai.listening.association import AssociationServer
from dwskd_monai.listening.c_store import DicomNode
from dwskd_monai.listening.journal import digest_of
from dwskd_monai.listening.listener import Listener
from dwskd_monai.listening.settings import Settings

PATIENT = "SECRETIVE^JANE"
SECONDS = 20.0  # after which a test fails that waits for something
REPORT = "1.2.840.10008.5.1.4.1.1.88.22"  # Enhanced SR
ANSWERS = 2  # to each study


def image(study: int = 1, number: int = 1, series: int = 1, **attributes: Any) -> Dataset:
    """An X-ray of 8 × 8 pixels."""
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SOPClassUID = ComputedRadiographyImageStorage
    dataset.PatientName = PATIENT
    dataset.PatientID = "SECRETIVE-ID"
    dataset.Modality = "CR"
    dataset.StudyInstanceUID = f"1.2.3.{study}"
    dataset.SeriesInstanceUID = f"1.2.3.{study}.{series}"
    dataset.SOPInstanceUID = f"1.2.3.{study}.{series}.{number}"
    dataset.Rows = dataset.Columns = 8
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.BitsAllocated = dataset.BitsStored = 8
    dataset.HighBit = 7
    dataset.PixelRepresentation = 0
    dataset.PixelData = bytes(range(64))
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def xray(study: int, **attributes: Any) -> Dataset:
    """An X-ray that the classifier takes."""
    pixels = np.random.default_rng(study).integers(0, 256, (40, 30)).astype(np.uint8)
    dataset = image(
        study,
        Rows=40,
        Columns=30,
        PixelData=pixels.tobytes(),
        BodyPartExamined="CHEST",
        PatientBirthDate="",
        PatientSex="",
        StudyDate="",
        StudyTime="",
        StudyID="",
        AccessionNumber="",
        ReferringPhysicianName="",
    )
    for name, value in attributes.items():
        setattr(dataset, name, value)
    return dataset


def answer_of(sources: Sequence[Path], number: int) -> Dataset:
    """An answer whose UID depends on the images that it is about."""
    first = pydicom.dcmread(sources[0])
    dataset = image()
    dataset.SOPClassUID = SecondaryCaptureImageStorage
    dataset.PatientName = first.PatientName
    dataset.StudyInstanceUID = first.StudyInstanceUID
    names = [file.stem for file in sources]
    dataset.SeriesInstanceUID = UID(pydicom.uid.generate_uid(entropy_srcs=[*names, str(number)]))
    dataset.SOPInstanceUID = f"{dataset.SeriesInstanceUID}.1"[:64]
    dataset.SeriesDescription = f"answer {number} about {len(sources)} images"
    return dataset


def answering(folder: Path) -> list[Dataset]:
    """A classifier that answers all images of a study together."""
    return [answer_of(sorted(folder.rglob("*.dcm")), number) for number in range(ANSWERS)]


def wait_for(holds: Callable[[], object]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "it never held"
        time.sleep(0.005)


class Pacs:
    """A DICOM node that keeps what it is sent.

    Args:
        port: 0: any that is free.
        status: that it answers with, one after the other, and the last one then.
        tls: None: not encrypted.
        reports: whether it takes reports.
    """

    def __init__(self, port: int = 0, status: Sequence[int] = (0x0000,), tls: Any = None, reports: bool = True) -> None:
        self.stored: list[Dataset] = []
        self._status = list(status)
        self._changed = threading.Condition()
        node = AE("PACS")
        node.require_called_aet = True
        node.supported_contexts = [*_contexts(reports)]
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = AssociationServer(
            node, ("127.0.0.1", port), "PACS", node.supported_contexts, tls, evt_handlers=handlers
        )
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()
        self.port = int(self._server.server_address[1])

    def _store(self, event: evt.Event) -> int:
        status = self._status.pop(0) if len(self._status) > 1 else self._status[0]
        file = event.request._dataset_path  # if a listener in this process has it write files
        dataset = event.dataset if file is None else pydicom.dcmread(file)
        dataset.file_meta = event.file_meta
        if status == 0:
            with self._changed:
                self.stored.append(dataset)
                self._changed.notify_all()
        return status

    def wait(self, count: int) -> None:
        """Wait until it has been sent so many."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.stored) >= count, SECONDS), len(self.stored)

    @property
    def instances(self) -> list[str]:
        return [str(dataset.SOPInstanceUID) for dataset in self.stored]

    def stop(self) -> None:
        self._server.end()


def _contexts(report: bool = True) -> Iterator[Any]:
    node = AE()
    kinds = [Verification, ComputedRadiographyImageStorage, SecondaryCaptureImageStorage]
    for uid in [*kinds, REPORT] if report else kinds:
        node.add_supported_context(uid)
    yield from node.supported_contexts


def send(address: tuple[str, int], datasets: Iterable[Dataset], aet: str = "XRAY", tls: Any = None) -> list[int | None]:
    """Send images on one association, and return the status of each; no status: there was no association."""
    node = AE(aet)
    node.requested_contexts = [*_contexts()]
    node.acse_timeout = node.dimse_timeout = node.network_timeout = SECONDS
    association = node.associate(*address, ae_title="DWSKD", tls_args=tls)
    if not association.is_established:
        return []
    statuses = [association.send_c_store(dataset).get("Status") for dataset in datasets]
    association.release()
    return statuses


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def complete(listener: Listener, *studies: int) -> None:
    """End the quiet time of studies; from now on there is none."""
    listener.quiet.seconds = 0.0
    for study in studies:
        listener.quiet.hear(digest_of(f"1.2.3.{study}"))


@contextmanager
def listening(folder: Path, port: int, answer: Callable = answering, **settings: Any) -> Iterator[Listener]:
    """A listener that sends to a port, and does not wait longer than it must."""
    default = Settings(folder, port=0, quiet_time=0.0)
    listener = Listener(
        replace(default, **settings), answer, DicomNode("127.0.0.1", port, "PACS", "DWSKD"), first_wait=0.01
    )
    listener.start()
    try:
        yield listener
    finally:
        listener.stop()
