"""Images are received by C-STORE, and confirmed when they are on disk and in the journal."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import logging
import sqlite3
import ssl
import tempfile
import threading
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pydicom
from pydicom.uid import DeflatedExplicitVRLittleEndian
from pynetdicom import AE, AllStoragePresentationContexts, _config, build_context, evt
from pynetdicom.dsutils import split_dataset
from pynetdicom.presentation import PresentationContext

from dwskd_monai.dicom_out.series import MAKER
from dwskd_monai.listening.association import AssociationServer
from dwskd_monai.listening.counters import Counters
from dwskd_monai.listening.errors import placed
from dwskd_monai.listening.journal import digest_of
from dwskd_monai.listening.settings import Network
from dwskd_monai.listening.store import ImageName, Store, StoreFullError
from dwskd_monai.reading.dicom_frames import COMPRESSED, NOT_COMPRESSED
from dwskd_monai.reading.dicom_pixels import can_decompress

SUCCESS = 0x0000
OUT_OF_RESOURCES = 0xA700
WRONG_DATA_SET = 0xA900
CANNOT_UNDERSTAND = 0xC000
_POLL_SECONDS = 0.1  # how soon it ends
_VERIFICATION = "1.2.840.10008.1.1"  # of C-ECHO
_UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
_logger = logging.getLogger(__name__)


class Receiving:
    """A DICOM node that takes images and answers C-ECHO.

    It accepts compressed images only if they can be decoded; a sender that can decompress them does so otherwise.

    Args:
        store: keeps them.
        counters: what is counted.
        received: called with the study of each image, when the image is safe.
        aet: AE title of the node.
        allowed_aets: AE titles that may send; empty: all.
    """

    def __init__(
        self,
        store: Store,
        counters: Counters,
        received: Callable[[str], None],
        aet: str,
        allowed_aets: Sequence[str] = (),
    ) -> None:
        self._store = store
        self._counters = counters
        self._received = received
        self._node = AE(aet)
        self._node.require_called_aet = True
        self._node.require_calling_aet = list(allowed_aets)
        self._node.maximum_pdu_size = 2**17  # of 16 kB by default; fewer parts take less time
        self._is_full = False
        self._open = contextlib.ExitStack()

    def start(
        self, host: str, port: int, allowed: Sequence[Network] = (), tls: ssl.SSLContext | None = None
    ) -> tuple[str, int]:
        """Begin to listen, and return the address; port 0 is any that is free.

        Raises:
            OSError: if the address cannot be used.
        """
        server = AssociationServer(
            self._node,
            (host, port),
            self._node.ae_title,
            _contexts(),
            tls,
            evt_handlers=[(evt.EVT_C_STORE, self._store_image), (evt.EVT_REJECTED, _log_rejected)],
            allowed=allowed,
        )
        # pynetdicom then writes what it receives to a file, and not to memory, wherever tempfile does
        earlier = (_config.STORE_RECV_CHUNKED_DATASET, tempfile.tempdir)
        self._open.callback(_set_files, *earlier)
        _set_files(True, str(self._store.folders.incoming))
        thread = threading.Thread(target=server.serve_forever, args=(_POLL_SECONDS,), name="receiving", daemon=True)
        thread.start()
        self._open.callback(self._abort)
        self._open.callback(server.end)  # first
        address = server.server_address
        return str(address[0]), int(address[1])

    def stop(self) -> None:
        """End all associations, and stop listening."""
        self._open.close()

    def _abort(self) -> None:
        for association in self._node.active_associations:
            association.abort()

    def _store_image(self, event: evt.Event) -> int:
        """Keep the image of a C-STORE request, and return the status that its sender is answered with."""
        try:
            result, status = self._take(event)
        except StoreFullError as error:
            if not self._is_full:  # once: senders try again and again
                _logger.warning("%s: senders of others are told to try again (0xA700)", error)
            self._is_full = True
            result, status = "out of resources", OUT_OF_RESOURCES
        except (OSError, sqlite3.Error) as error:
            _logger.error("an image cannot be written (%s): the sender is told to try again (0xA700)", placed(error))
            result, status = "out of resources", OUT_OF_RESOURCES
        except Exception as error:  # any bytes may come
            _logger.error("an image cannot be understood (%s): it is refused (0xC000)", placed(error))
            result, status = "not understood", CANNOT_UNDERSTAND
        self._counters.images.labels(result).inc()
        return status

    def _take(self, event: Any) -> tuple[str, int]:
        file: Path = event.dataset_path
        header = pydicom.dcmread(file, stop_before_pixels=True, specific_tags=[*_UIDS, "Rows", "Manufacturer"])
        uids = [str(header.get(name) or "") for name in _UIDS]
        if not all(uids) or uids[-1] != event.request.AffectedSOPInstanceUID:
            missing = [name for name, found in zip(_UIDS, uids) if not found] or ["SOPInstanceUID as in the request"]
            _logger.error("an image without %s: it is refused (0xA900)", ", ".join(missing))
            return "wrong data set", WRONG_DATA_SET
        study, series, instance = map(digest_of, uids)
        if header.get("Manufacturer") == MAKER or self._store.journal.is_answer(instance):
            return "own answer", SUCCESS
        if "Rows" not in header:  # a report, for instance
            return "no image", SUCCESS
        image = ImageName(study, series, instance, _content_of(file))
        if self._store.take(file, image):
            self._is_full = False
            self._received(study)
            return "taken", SUCCESS
        return "known", SUCCESS


@functools.cache
def _contexts() -> list[PresentationContext]:
    """What is accepted: images and other objects, and compressed ones if they can be decoded.

    Not deflated ones, of which a small one may need any amount of memory; senders can write them in another way.
    """
    plain = [syntax for syntax in NOT_COMPRESSED if syntax != DeflatedExplicitVRLittleEndian]
    syntaxes = [*plain, *(COMPRESSED if can_decompress() else ())]
    stored = [build_context(str(context.abstract_syntax), syntaxes) for context in AllStoragePresentationContexts]
    return [build_context(_VERIFICATION), *stored]


def _set_files(chunked: bool, folder: str | None) -> None:
    _config.STORE_RECV_CHUNKED_DATASET = chunked
    tempfile.tempdir = folder


def _content_of(file: Path) -> str:
    """The digest of a data set, without the file's meta information, which the receiver wrote."""
    _, offset = split_dataset(file)
    with file.open("rb") as opened:
        opened.seek(offset)
        return hashlib.file_digest(opened, "sha256").hexdigest()


def _log_rejected(event: evt.Event) -> None:
    requestor = event.assoc.requestor
    called = "" if requestor.primitive is None else requestor.primitive.called_ae_title
    _logger.warning("association of %r at %s with %r rejected", requestor.ae_title, requestor.address, called)
