"""The command ``listen`` of an exported classifier."""

from __future__ import annotations

import argparse
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from dwskd_monai.listening import settings as given_as
from dwskd_monai.listening.tls import client_context, server_context
from dwskd_monai.runtime.logs import begin_log
from dwskd_monai.runtime.options import checked, names, threads

_BAD_INPUT = 2
_FAILED = 1
_WEB = ("http://", "https://")
_logger = logging.getLogger(__name__)


class _Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line."""

    def error(self, message: str) -> NoReturn:
        self.exit(_BAD_INPUT, f"{self.prog}: {message}\n")


def _parser(name: str | None, has_model: bool) -> argparse.ArgumentParser:
    """The parser of the command; its help is what users read."""
    default = given_as.Settings(Path("listener"))
    parser = _Parser(
        name,
        description="Receive studies by DICOM, classify them, and send an SR and a picture back. Research only; not "
        "for diagnosis.",
    )
    add = parser.add_argument
    if not has_model:
        add("model", help="the file that dwskd export wrote")

    def option(flag: str, check: Callable[[str], Any], shown: str, what: str, initial: Any = None) -> None:
        text = what if initial is None else f"{what}; {initial} by default"
        add(flag, type=checked(check), metavar=shown, help=text, default=initial)

    add("--to", type=checked(given_as.node), required=True, metavar="NODE",
        help="where answers are sent: HOST:PORT, or https://HOST/…/studies for DICOMweb")  # fmt: skip
    option("--to_aet", given_as.aet, "AET", "AE title of HOST:PORT", "ANY-SCP")
    add("--to_tls", action="store_true", help="encrypt the connection to HOST:PORT")
    option("--host", str, "ADDRESS", "address to listen on; 0.0.0.0: all of this machine", default.host)
    option("--port", given_as.port, "N", "port to listen on; 0: any that is free", default.port)
    option("--aet", given_as.aet, "AET", "AE title of this listener", default.aet)
    option("--folder", Path, "DIR", "for images, answers and the journal", default.folder)
    option(
        "--quiet_time",
        given_as.seconds,
        "S",
        "seconds without a new image, then a study is complete",
        default.quiet_time,
    )
    option(
        "--max_studies", given_as.count, "N", "studies that may be in the folder; others must wait", default.max_studies
    )
    option("--keep", given_as.seconds, "S", "seconds for which images of answered studies stay", default.keep)
    option("--allow_aet", given_as.aets, "AET,…", "AE titles that may send; by default all")
    option("--allow_address", given_as.networks, "ADDRESS,…", "addresses or networks that may send; by default all")
    option("--tls_certificate", Path, "FILE", "PEM certificate: connections to this listener are encrypted")
    option("--tls_key", Path, "FILE", "its key")
    option("--tls_ca", Path, "FILE", "PEM certificates, one of which must have signed that of each sender, if"
           " --tls_certificate is given, and of NODE")  # fmt: skip
    option("--health_port", given_as.port, "N", "port of a page with /health and /metrics; by default there is none")
    option("--accept", names, "LIST", "unexpected images to accept: ['view=LATERAL']")
    add("--abstain", action="store_true", help="no class for studies unlike the training images")
    option("--workers", given_as.count, "N", "studies that are classified at a time", default.workers)
    option("--threads", threads, "N", "of ONNX Runtime; 0: one for each core", 0)
    return parser


def main(words: Sequence[str], model: str | Path | None = None, name: str | None = None) -> int:
    """Listen until SIGTERM; the exit code is 0, 2 for bad settings, or 1 if something failed.

    Args:
        words: of the command line, without ``listen``.
        model: the file of the classifier; None: the first word names it.
        name: of the classifier's command.
    """
    parser = _parser(None if name is None else f"{name} listen", model is not None)
    given = parser.parse_args(words)
    begin_log("%Y-%m-%d %H:%M:%S")
    try:
        listener = _listener(given, model or given.model)
        listener.start()
    except ModuleNotFoundError as error:
        package = "dwskd_monai" if model is None else name
        sys.stderr.write(f"{parser.prog}: {error.name} is not installed; pip install '{package}[listen]'\n")
        return _BAD_INPUT
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return _BAD_INPUT
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: listener.end())
    _logger.info("%s listens on %s:%d", given.aet, *listener.address)
    if listener.health_address is not None:
        _logger.info("health page on http://%s:%d/health", *listener.health_address)
    succeeded = listener.wait()
    listener.stop()
    _logger.info("ended")
    return 0 if succeeded else _FAILED


def _listener(given: argparse.Namespace, model: str | Path) -> Any:
    """The listener that the command line describes, which has not started."""
    # imported here, so that the help is shown at once, and a missing library is named
    import functools

    from dwskd_monai.dicom_out.answers import require_highdicom
    from dwskd_monai.listening.listener import Listener
    from dwskd_monai.listening.study import answer_study
    from dwskd_monai.runtime.classifier import Classifier

    if (given.tls_certificate is None) != (given.tls_key is None):
        raise ValueError("--tls_certificate and --tls_key: expected both or neither")
    if given.tls_ca is not None and not (given.tls_certificate or given.to_tls or given.to.startswith("https://")):
        raise ValueError("--tls_ca: nothing is encrypted that it could check; give --tls_certificate, or --to_tls")
    require_highdicom()
    destination = _destination(given)
    server_tls = None
    if given.tls_certificate is not None:
        server_tls = server_context(given.tls_certificate, given.tls_key, given.tls_ca)
    settings = given_as.Settings(
        given.folder,
        given.host,
        given.port,
        given.aet,
        given.quiet_time,
        given.max_studies,
        given.keep,
        given.allow_aet or (),
        given.allow_address or (),
        server_tls,
        given.health_port,
        given.workers,
    )
    classifier = Classifier(model, given.threads, given.accept)
    return Listener(settings, functools.partial(answer_study, classifier, given.abstain), destination)


def _destination(given: argparse.Namespace) -> Any:
    tls = client_context(given.tls_certificate, given.tls_key, given.tls_ca)  # in any case: it checks the files
    if not given.to.startswith(_WEB):
        from dwskd_monai.listening.c_store import DicomNode

        host, port = given_as.host_and_port(given.to)
        return DicomNode(host, port, given.to_aet, given.aet, tls if given.to_tls else None)
    from dwskd_monai.listening.stow import WebServer

    if given.to_tls:
        raise ValueError("--to_tls: --to says https already; leave it out")
    certificate = None if given.tls_certificate is None else (given.tls_certificate, given.tls_key)
    return WebServer(given.to, given.tls_ca, certificate)
