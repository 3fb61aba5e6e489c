"""A page for whoever watches the listener: ``/health`` for people and Docker, ``/metrics`` for Prometheus."""

from __future__ import annotations

import json
import logging
import socket
import threading
from collections.abc import Callable, Mapping
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from dwskd_monai.listening.counters import CONTENT_TYPE

Health = Mapping[str, Any]  # has "status", which is "ok" if nothing is wrong
_SECONDS = 10.0
_POLL_SECONDS = 0.1  # how soon it ends
_logger = logging.getLogger(__name__)


class HealthPage:
    """Serves both pages.

    Args:
        host, port: its address; port 0 is any that is free.
        health: returns what ``/health`` shows.
        metrics: returns what ``/metrics`` shows.

    Raises:
        OSError: if the address cannot be used.
    """

    def __init__(self, host: str, port: int, health: Callable[[], Health], metrics: Callable[[], bytes]) -> None:
        class Handler(_Handler):
            def content(self) -> tuple[HTTPStatus, str, bytes]:
                if self.path == "/metrics":
                    return HTTPStatus.OK, CONTENT_TYPE, metrics()
                if self.path != "/health":
                    return HTTPStatus.NOT_FOUND, "text/plain", b"expected /health or /metrics\n"
                shown = health()
                status = HTTPStatus.OK if shown["status"] == "ok" else HTTPStatus.SERVICE_UNAVAILABLE
                return status, "application/json", json.dumps(shown).encode() + b"\n"

        class Server(ThreadingHTTPServer):
            address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

            def handle_error(self, request: Any, client_address: Any) -> None:
                """Say it in one line; socketserver would print a traceback whenever a client goes away."""
                _logger.warning("health page: a request from %s failed", client_address[0])

        self._server = Server((host, port), Handler)
        self.address: tuple[str, int] = (str(self._server.server_address[0]), int(self._server.server_address[1]))

    def start(self) -> None:
        """Begin to serve."""
        threading.Thread(target=self._server.serve_forever, args=(_POLL_SECONDS,), name="health", daemon=True).start()

    def stop(self) -> None:
        """Serve no more."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    timeout = _SECONDS

    def content(self) -> tuple[HTTPStatus, str, bytes]:
        raise NotImplementedError

    def do_GET(self) -> None:
        status, kind, content = self.content()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *args: Any) -> None:
        """Nothing: a page that is read every few seconds would fill the log."""
