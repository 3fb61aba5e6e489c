"""The settings of the listener, and what its command line may say for them."""

from __future__ import annotations

import ipaddress
import ssl
from dataclasses import dataclass
from pathlib import Path

Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_MOST_LETTERS = 16  # of an AE title
_HIGHEST_PORT = 65535


@dataclass(frozen=True)
class Settings:
    """The settings of a listener.

    Args:
        folder: for images, answers and the journal.
        host, port: where it listens; port 0 is any that is free.
        aet: its AE title.
        quiet_time: seconds without an image, after which a study is complete.
        max_studies: studies that may be in the folder at a time.
        keep: seconds for which images of answered studies stay.
        allow_aet: AE titles that may send; empty: all.
        allow_address: networks from which images are taken; empty: all.
        server_tls: for connections that are taken; None: they are not encrypted.
        health_port: of the health page; None: there is none.
        workers: studies that are classified at a time.
    """

    folder: Path
    host: str = "127.0.0.1"
    port: int = 11112
    aet: str = "DWSKD"
    quiet_time: float = 60.0
    max_studies: int = 200
    keep: float = 3600.0
    allow_aet: tuple[str, ...] = ()
    allow_address: tuple[Network, ...] = ()
    server_tls: ssl.SSLContext | None = None
    health_port: int | None = None
    workers: int = 2


def aet(text: str) -> str:
    """An AE title.

    Raises:
        ValueError: if it is not one.
    """
    title = text.strip()
    if not title or len(title) > _MOST_LETTERS or not title.isascii() or not title.isprintable() or "\\" in title:
        raise ValueError(f"expected an AE title of 1 to {_MOST_LETTERS} ASCII characters, got {text!r}")
    return title


def aets(text: str) -> tuple[str, ...]:
    """AE titles with commas between them."""
    return tuple(aet(word) for word in text.split(","))


def networks(text: str) -> tuple[Network, ...]:
    """Addresses and networks with commas between them.

    Raises:
        ValueError: if one is neither.

    Examples:
        >>> [str(network) for network in networks("10.1.2.3,192.168.0.0/16")]
        ['10.1.2.3/32', '192.168.0.0/16']
    """
    found = []
    for word in text.split(","):
        try:
            found.append(ipaddress.ip_network(word.strip()))
        except ValueError as error:
            raise ValueError(f"expected addresses such as 10.1.2.3, or networks such as 10.0.0.0/8: {error}") from None
    return tuple(found)


def port(text: str) -> int:
    """A port number; 0 is any that is free.

    Raises:
        ValueError: if it is not one.
    """
    if not text.isdecimal() or int(text) > _HIGHEST_PORT:
        raise ValueError(f"expected a port from 0 to {_HIGHEST_PORT}, got {text!r}")
    return int(text)


def seconds(text: str) -> float:
    """A time in seconds.

    Raises:
        ValueError: if it is not one.
    """
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise ValueError(f"expected seconds, 0 or more; got {text!r}")
    return value


def count(text: str) -> int:
    """A whole number, 1 or more.

    Raises:
        ValueError: if it is not one.
    """
    if not text.isdecimal() or int(text) < 1:
        raise ValueError(f"expected a whole number, 1 or more; got {text!r}")
    return int(text)


def node(text: str) -> str:
    """HOST:PORT, or the URL of a web server.

    Raises:
        ValueError: if it is neither.
    """
    if not text.startswith(("http://", "https://")):
        host_and_port(text)
    return text


def host_and_port(text: str) -> tuple[str, int]:
    """The parts of HOST:PORT.

    Raises:
        ValueError: if it is of another form.

    Examples:
        >>> host_and_port("[::1]:104")
        ('::1', 104)
    """
    host, _, number = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or "/" in host or not number.isdecimal() or not 0 < int(number) <= _HIGHEST_PORT:
        raise ValueError(f"expected HOST:PORT or https://HOST/…/studies, got {text!r}")
    return host, int(number)
