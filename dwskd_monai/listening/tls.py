"""TLS on both sides: for those that send images, and for the destination of the answers."""

from __future__ import annotations

import ssl
from pathlib import Path


def server_context(certificate: Path, key: Path, ca: Path | None) -> ssl.SSLContext:
    """For connections that are taken; with ``ca``, only from those that have a certificate that it signed.

    Raises:
        ValueError: if a file is missing, or does not have what it should.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key, ca)
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def client_context(certificate: Path | None, key: Path | None, ca: Path | None) -> ssl.SSLContext:
    """For the connection to the destination, whose certificate ``ca`` has signed; None: one that the system trusts.

    Raises:
        ValueError: if a file is missing, or does not have what it should.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    _load(context, certificate, key, ca)
    return context


def _load(context: ssl.SSLContext, certificate: Path | None, key: Path | None, ca: Path | None) -> None:
    named = {"--tls_certificate": certificate, "--tls_key": key, "--tls_ca": ca}
    for name, file in named.items():
        if file is not None and not file.is_file():
            raise ValueError(f"{name}: {file} does not exist; expected a PEM file")
    try:
        if ca is not None:
            context.load_verify_locations(ca)
        if certificate is not None:
            context.load_cert_chain(certificate, key, password=_no_password)
    except OSError as error:  # ssl's own errors too
        shown = ", ".join(f"{name} {file}" for name, file in named.items() if file is not None)
        raise ValueError(f"{shown}: {error}; expected PEM files, and the key of the certificate") from error


def _no_password() -> str:
    raise ValueError("--tls_key: it is encrypted, and nobody is here to type its password; decrypt it")
