"""Answers are sent to a web server, by DICOMweb's STOW-RS (PS3.18, 10.5).

``dicomweb-client`` would decode each file and encode it again, and does not tell an instance that the server has
already from one that it does not take.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import requests

from dwskd_monai.listening.destination import DUPLICATE, OTHER_KIND, NotTakenError, OtherKindError, UnreachableError

_SECONDS = 60.0
_FAILED = "00081198"  # FailedSOPSequence
_REASON = "00081197"  # FailureReason
_OF_THE_FILE = (
    requests.codes.bad,
    requests.codes.conflict,
    requests.codes.request_entity_too_large,
    requests.codes.unsupported_media_type,
)


class WebServer:
    """A DICOMweb server that takes answers.

    A user and a password are taken from ``~/.netrc``.

    Args:
        url: of its studies, such as ``https://pacs/dicom-web/studies``.
        ca: file of certificates that are trusted; None: those of ``requests``.
        certificate: files of a certificate and its key, if the server asks for them.
    """

    def __init__(self, url: str, ca: Path | None = None, certificate: tuple[Path, Path] | None = None) -> None:
        self.name = _without_password(url)
        self._url = url
        self._session = requests.Session()
        if ca is not None:
            self._session.verify = str(ca)
        if certificate is not None:
            self._session.cert = (str(certificate[0]), str(certificate[1]))

    @contextmanager
    def connection(self, files: Sequence[Path]) -> Iterator[Callable[[Path], None]]:
        """What sends a file; see :class:`Destination`."""
        yield self._send

    def _send(self, file: Path) -> None:
        boundary = secrets.token_hex(16)
        head = f"--{boundary}\r\nContent-Type: application/dicom\r\n\r\n".encode()
        try:
            response = self._session.post(
                self._url,
                data=head + file.read_bytes() + f"\r\n--{boundary}--\r\n".encode(),
                headers={
                    "Content-Type": f'multipart/related; type="application/dicom"; boundary={boundary}',
                    "Accept": "application/dicom+json",
                },
                timeout=_SECONDS,
                allow_redirects=False,  # requests would ask for a list of studies there, and be given one
            )
        except requests.RequestException as error:
            raise UnreachableError(type(error).__name__) from error
        shown = f"status {response.status_code} {response.reason}"
        failed = _failed(response)
        if failed and all(reason == DUPLICATE for reason in failed):
            return
        if failed or response.status_code in _OF_THE_FILE:
            kind = OtherKindError if set(failed) == {OTHER_KIND} else NotTakenError
            raise kind(f"{shown}{f', reason 0x{failed[0]:04X}' if failed else ''}")
        if response.is_redirect:
            raise UnreachableError(f"{shown}: it redirects to {response.headers['Location']}; give that address")
        if not response.ok:
            raise UnreachableError(shown)
        if "html" in response.headers.get("Content-Type", "").lower():  # the page of a login, for instance
            raise UnreachableError(f"{shown}, and a page of HTML; expected the reply of DICOMweb")


def _failed(response: requests.Response) -> list[int]:
    """The reasons of instances that were not stored; 0: the server gives none."""
    try:
        items = response.json().get(_FAILED, {}).get("Value", [])
    except (ValueError, AttributeError):  # no JSON, or of another form
        return []
    return [_reason(item) for item in items]


def _reason(item: Any) -> int:
    try:
        return int(item[_REASON]["Value"][0])
    except (KeyError, IndexError, TypeError, ValueError):
        return 0


def _without_password(url: str) -> str:
    """A URL as it is logged."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
