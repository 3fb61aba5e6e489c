"""Fixtures for the tests of the listener."""

from __future__ import annotations

import contextlib
import socket

import pytest
from pynetdicom.transport import AssociationSocket


@pytest.fixture(autouse=True)
def _closing_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    """pynetdicom leaves the socket of a failed connection to the garbage collector, which warns in some later test."""

    def close(self: AssociationSocket) -> None:
        if self.socket is not None:
            with contextlib.suppress(OSError):
                self.socket.shutdown(socket.SHUT_RDWR)
            self.socket.close()

    monkeypatch.setattr(AssociationSocket, "_shutdown_socket", close)
