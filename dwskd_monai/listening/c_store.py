"""Answers are sent to a DICOM node, by C-STORE."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pydicom.filereader import read_file_meta_info
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.association import Association

from dwskd_monai.listening.destination import DUPLICATE, OTHER_KIND, NotTakenError, OtherKindError, UnreachableError

_SUCCESS = 0x0000
_WARNINGS = range(0xB000, 0xC000)  # it has stored the instance, and changed something
_OUT_OF_RESOURCES = range(0xA700, 0xA800)
_SECONDS = 30.0
_OTHER_KIND = "it does not take objects of this kind (SOP class)"


class DicomNode:
    """A DICOM node that takes answers.

    Args:
        host, port: its address.
        aet: its AE title.
        own_aet: that of the listener.
        tls: None: not encrypted.
    """

    def __init__(self, host: str, port: int, aet: str, own_aet: str, tls: ssl.SSLContext | None = None) -> None:
        self.name = f"{aet} at {host}:{port}"
        self._host = host
        self._port = port
        self._aet = aet
        self._own_aet = own_aet
        self._tls = tls

    @contextmanager
    def connection(self, files: Sequence[Path]) -> Iterator[Callable[[Path], None]]:
        """An association for files, and what sends one of them; see :class:`Destination`."""
        association = self._associate(files)
        try:
            yield lambda file: self._send(association, file)
        finally:
            if association.is_established:
                association.release()

    def _associate(self, files: Sequence[Path]) -> Association:
        node = AE(self._own_aet)
        node.connection_timeout = node.acse_timeout = node.dimse_timeout = node.network_timeout = _SECONDS
        for file in files:
            meta = read_file_meta_info(file)
            syntaxes = [meta.TransferSyntaxUID]
            if not meta.TransferSyntaxUID.is_compressed:  # the destination may want it written in another way
                syntaxes += [ExplicitVRLittleEndian, ImplicitVRLittleEndian]
            node.add_requested_context(meta.MediaStorageSOPClassUID, syntaxes)
        tls = None if self._tls is None else (self._tls, self._host)
        association = node.associate(self._host, self._port, ae_title=self._aet, tls_args=tls)
        if association.is_rejected:
            raise UnreachableError("it rejects the association; does it know this AE title and address?")
        if not association.is_established and association.rejected_contexts:
            raise OtherKindError(_OTHER_KIND)
        if not association.is_established:
            raise UnreachableError(self._problem())
        return association

    def _problem(self) -> str:
        """Why there is no association; pynetdicom does not say it."""
        try:
            socket.create_connection((self._host, self._port), _SECONDS).close()
        except OSError as error:
            return f"no connection ({error.strerror or error})"
        return "it closes the connection and gives no reason; one side may expect TLS, and the other not"

    def _send(self, association: Association, file: Path) -> None:
        if not association.is_established:
            raise UnreachableError("the association ended")
        try:
            answered = association.send_c_store(file)
        except ValueError as error:  # no presentation context
            raise OtherKindError(_OTHER_KIND) from error
        if "Status" not in answered:
            raise UnreachableError("the association ended before it answered")
        status = int(answered.Status)
        if status in _OUT_OF_RESOURCES:
            raise UnreachableError(f"it is out of resources (status 0x{status:04X})")
        if status == OTHER_KIND:
            raise OtherKindError(f"{_OTHER_KIND}, status 0x{status:04X}")
        if status not in (_SUCCESS, DUPLICATE) and status not in _WARNINGS:
            raise NotTakenError(f"status 0x{status:04X}")
