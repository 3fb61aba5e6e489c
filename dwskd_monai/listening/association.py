"""Who may open an association: addresses are checked before anything is read, then TLS, then AE titles."""

from __future__ import annotations

import ipaddress
import logging
import socket
import socketserver
import ssl
from collections.abc import Sequence
from typing import Any

from pynetdicom.transport import ThreadedAssociationServer

from dwskd_monai.listening.settings import Network

_HANDSHAKE_SECONDS = 10.0
_logger = logging.getLogger(__name__)


class AssociationServer(ThreadedAssociationServer):
    """pynetdicom's server with a list of addresses; and a TLS handshake that is never finished keeps nobody waiting.

    Args:
        args, options: of pynetdicom's server.
        allowed: networks from which connections are taken; empty: from everywhere.
    """

    daemon_threads = True

    def __init__(self, *args: Any, allowed: Sequence[Network] = (), **options: Any) -> None:
        self._allowed = allowed
        super().__init__(*args, **options)

    def verify_request(self, request: Any, client_address: Any) -> bool:
        """Whether an address may connect."""
        address = ipaddress.ip_address(client_address[0].partition("%")[0])
        if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped is not None:
            address = address.ipv4_mapped
        if not self._allowed or any(address in network for network in self._allowed):
            return True
        _logger.warning("connection from %s refused: not in --allow_address", address)
        return False

    def get_request(self) -> tuple[socket.socket, Any]:
        """Accept a connection; pynetdicom would wait here for its TLS handshake, and accept no other."""
        assert self.socket is not None
        connection, address = self.socket.accept()
        if self.ssl_context:
            connection = self.ssl_context.wrap_socket(connection, server_side=True, do_handshake_on_connect=False)
        return connection, address

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Finish the handshake in the thread of the connection, then go on as pynetdicom does."""
        if isinstance(request, ssl.SSLSocket):
            try:
                request.settimeout(_HANDSHAKE_SECONDS)
                request.do_handshake()
                request.settimeout(None)
            except OSError as error:
                _logger.warning("connection from %s refused: TLS: %s", client_address[0], error)
                self.shutdown_request(request)
                return
        super().process_request_thread(request, client_address)

    def end(self) -> None:
        """Take no more connections; pynetdicom's own ``shutdown`` is for servers that its ``start_server`` made."""
        socketserver.BaseServer.shutdown(self)
        self.server_close()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say that a connection failed; the traceback that socketserver prints could show what was received."""
        _logger.warning("connection from %s failed", client_address[0])
