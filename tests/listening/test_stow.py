"""Answers are sent to a web server as PS3.18 says, and what it replies is understood."""

from __future__ import annotations

import email
import io
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pydicom
import pytest

from dwskd_monai.listening.destination import NotTakenError, UnreachableError
from dwskd_monai.listening.stow import WebServer
from tests.listening.made import free_port, image

# FailedSOPSequence with the FailureReason of one instance
ALREADY_THERE = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0x0111]}}]}}
NO_REASON = {"00081198": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2.3"]}}]}}
NOT_UNDERSTOOD = {"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [0xC000]}}]}}


class Server(HTTPServer):
    """Keeps the instances that it is sent, and replies what it is told to."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = 200
        self.reply: object = {}
        self.headers: dict[str, str] = {}
        self.path = ""
        self.stored: list[pydicom.Dataset] = []
        threading.Thread(target=self.serve_forever, args=(0.01,), daemon=True).start()


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"]))
        message = email.message_from_bytes(f"Content-Type: {self.headers['Content-Type']}\n\n".encode() + body)
        assert message.get_content_type() == "multipart/related"
        assert message.get_param("type") == "application/dicom"
        assert self.headers["Accept"] == "application/dicom+json"
        for part in message.get_payload():
            assert part.get_content_type() == "application/dicom"
            self.server.stored.append(pydicom.dcmread(io.BytesIO(part.get_payload(decode=True))))
        self.server.path = self.path
        reply = json.dumps(self.server.reply).encode()
        self.send_response(self.server.status)
        for name, value in {"Content-Type": "application/dicom+json; charset=utf-8", **self.server.headers}.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def do_GET(self):
        """The list of studies; a POST that is redirected becomes a GET."""
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"[]")

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    server = Server()
    yield server
    server.shutdown()
    server.server_close()


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "answer.dcm"
    image(PixelData=bytes([13, 10, 45, 45] * 16)).save_as(path, enforce_file_format=True)
    return path


def send(server, file) -> None:
    with WebServer(f"http://127.0.0.1:{server.server_port}/dicom-web/studies").connection([file]) as sending:
        sending(file)


@pytest.mark.parametrize(
    ("status", "reply"), [(200, {}), (202, {"00081199": {"vr": "SQ"}}), (409, ALREADY_THERE), (202, ALREADY_THERE)]
)
def test_a_file_arrives_as_it_is(server, file, status, reply):
    server.status, server.reply = status, reply
    send(server, file)
    assert server.path == "/dicom-web/studies"
    assert server.stored == [pydicom.dcmread(file)]


@pytest.mark.parametrize(
    ("status", "reply", "expected"),
    [
        (409, NOT_UNDERSTOOD, "status 409 Conflict, reason 0xC000"),
        (202, NOT_UNDERSTOOD, "status 202 Accepted, reason 0xC000"),
        (409, "no DICOM", "status 409 Conflict"),
        (202, NO_REASON, "status 202 Accepted, reason 0x0000"),
        (415, {}, "status 415 Unsupported Media Type"),
        (413, {}, "status 413 Request Entity Too Large"),
    ],
)
def test_a_file_that_is_not_taken_is_named_with_its_reason(server, file, status, reply, expected):
    server.status, server.reply = status, reply
    with pytest.raises(NotTakenError) as error:
        send(server, file)
    assert str(error.value) == expected


@pytest.mark.parametrize(
    ("status", "expected"), [(503, "status 503 Service Unavailable"), (401, "status 401 Unauthorized")]
)
def test_a_server_that_takes_nothing_now_is_asked_again(server, file, status, expected):
    server.status = status
    with pytest.raises(UnreachableError, match=expected):
        send(server, file)


@pytest.mark.parametrize("status", [301, 302, 307])
def test_an_answer_that_is_redirected_is_not_sent(server, file, status):
    server.status, server.headers = status, {"Location": "/elsewhere"}
    with pytest.raises(UnreachableError, match=f"status {status} .*: it redirects to /elsewhere; give that address"):
        send(server, file)


def test_a_page_for_people_does_not_say_that_an_answer_is_stored(server, file):
    server.headers = {"Content-Type": "text/html; charset=utf-8"}
    with pytest.raises(UnreachableError, match="status 200 OK, and a page of HTML; expected the reply of DICOMweb"):
        send(server, file)


def test_a_password_in_the_address_is_not_shown():
    assert WebServer("https://user:secret@pacs:8443/studies").name == "https://pacs:8443/studies"


def test_a_server_that_is_not_there_is_asked_again(file):
    with (
        pytest.raises(UnreachableError, match="ConnectionError"),
        WebServer(f"http://127.0.0.1:{free_port()}/studies").connection([file]) as sending,
    ):
        sending(file)
