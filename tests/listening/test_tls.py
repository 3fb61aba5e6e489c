"""TLS on both sides: those without a certificate that is trusted are refused, and nobody keeps others waiting."""

from __future__ import annotations

import socket

import pytest

from dwskd_monai.listening.c_store import DicomNode
from dwskd_monai.listening.destination import UnreachableError
from dwskd_monai.listening.tls import client_context, server_context
from tests.listening.certificates import make_certificate
from tests.listening.made import Pacs, free_port, image, listening, send


@pytest.fixture
def own(tmp_path):
    return make_certificate(tmp_path, "listener")


@pytest.fixture
def other(tmp_path):
    return make_certificate(tmp_path, "xray")


def test_a_sender_with_a_certificate_that_is_trusted_may_send(tmp_path, own, other):
    tls = server_context(*own, ca=other[0])
    with listening(tmp_path / "listener", free_port(), server_tls=tls, quiet_time=3600.0) as listener:
        with socket.create_connection(listener.address):  # never says anything
            trusted = client_context(*other, ca=own[0])
            assert send(listener.address, [image()], tls=(trusted, "127.0.0.1")) == [0]
        nameless = client_context(None, None, ca=own[0])
        assert send(listener.address, [image()], tls=(nameless, "127.0.0.1")) == []
        stranger = client_context(*make_certificate(tmp_path, "stranger"), ca=own[0])
        assert send(listener.address, [image()], tls=(stranger, "127.0.0.1")) == []
        assert send(listener.address, [image()]) == [], "not encrypted"


def test_answers_go_only_to_a_pacs_with_a_certificate_that_is_trusted(tmp_path, own, other):
    file = tmp_path / "answer.dcm"
    image().save_as(file, enforce_file_format=True)
    pacs = Pacs(tls=server_context(*other, ca=own[0]))
    node = DicomNode("127.0.0.1", pacs.port, "PACS", "DWSKD", client_context(*own, ca=other[0]))
    with node.connection([file]) as sending:
        sending(file)
    pacs.wait(1)
    node = DicomNode("127.0.0.1", pacs.port, "PACS", "DWSKD", client_context(*own, ca=own[0]))
    with pytest.raises(UnreachableError), node.connection([file]):
        pass
    pacs.stop()


def test_files_that_are_missing_or_of_another_kind_are_named(tmp_path, own, other):
    with pytest.raises(ValueError, match=r"--tls_ca: .*x.pem does not exist; expected a PEM file"):
        server_context(*own, ca=tmp_path / "x.pem")
    with pytest.raises(ValueError, match=r"--tls_certificate .*listener.pem, --tls_key .*xray.key: .*; expected PEM"):
        server_context(own[0], other[1], None)
    (tmp_path / "x.pem").write_text("no certificate")
    with pytest.raises(ValueError, match=r"--tls_ca .*x.pem: .*; expected PEM files"):
        client_context(None, None, tmp_path / "x.pem")
