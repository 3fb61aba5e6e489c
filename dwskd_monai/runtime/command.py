"""The command line of an exported classifier."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dwskd_monai.runtime.logs import begin_log
from dwskd_monai.runtime.options import checked, names, threads

_BAD_INPUT = 2


class _Card(argparse.Action):
    """Print a file and end, as ``--version`` does."""

    def __init__(self, *args: Any, card: Path, **options: Any) -> None:
        super().__init__(*args, **options)
        self._card = card

    def __call__(self, parser: argparse.ArgumentParser, *args: Any) -> None:
        sys.stdout.write(self._card.read_text(encoding="utf-8"))
        parser.exit()


def main(
    words: Sequence[str] | None = None,
    model: str | Path | None = None,
    name: str | None = None,
    version: str | None = None,
    card: Path | None = None,
) -> int:
    """Classify studies; the exit code is 0, 2 for bad input, or 3 if images were refused.

    Args:
        words: of the command line; None: those of this process.
        model: the file of the classifier; None: the first word names it.
        name: of the command, for its help.
        version: of the classifier, which ``--version`` prints.
        card: the page of the classifier, which ``--card`` prints.
    """
    given_words = sys.argv[1:] if words is None else list(words)
    if given_words[:1] == ["listen"]:
        from dwskd_monai.listening.command import main as listen

        return listen(given_words[1:], model, name)
    parser = argparse.ArgumentParser(
        name,
        description="Classify studies. Research only; not for diagnosis.",
        epilog="With 'listen' as the first word it receives studies from a PACS: listen --help.",
    )
    if model is None:
        parser.add_argument("model", help="the file that dwskd export wrote")
    parser.add_argument("studies", help="an image, a folder of images, a DICOM series, or a CSV or JSON datalist")
    parser.add_argument("--out", required=True, help="folder for predictions.csv, and refused.csv if there are any")
    parser.add_argument("--dicom_out", metavar="DIR", help="folder for a DICOM report and picture of each DICOM study")
    parser.add_argument("--abstain", action="store_true", help="no class for studies unlike the training images")
    parser.add_argument("--strict", action="store_true", help="end at the first image that cannot be used")
    parser.add_argument(
        "--accept", type=checked(names), metavar="LIST", help="unexpected images to accept: ['view=LATERAL']"
    )
    parser.add_argument(
        "--threads", type=checked(threads), metavar="N", default=0, help="of ONNX Runtime; 0: one for each core"
    )
    if version is not None:
        parser.add_argument("--version", action="version", version=f"{parser.prog} {version}")
    if card is not None:
        parser.add_argument("--card", action=_Card, nargs=0, card=card, help="print the page of the classifier")
    given = parser.parse_args(given_words)
    begin_log("%H:%M:%S")
    # imported here, so that the help is shown at once
    from dwskd_monai.dicom_out.writing import DicomAnswers
    from dwskd_monai.runtime.classifier import Classifier
    from dwskd_monai.runtime.predicting import predict_studies

    try:
        classifier = Classifier(given.model if model is None else model, given.threads, given.accept)
        answers = None
        if given.dicom_out is not None:
            answers = DicomAnswers(classifier, given.dicom_out, given.studies, given.abstain)
        predict_studies(classifier, given.studies, given.out, given.abstain, given.strict, answers=answers)
        if answers is not None:
            answers.require_all()
    except (ValueError, OSError, ModuleNotFoundError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return int(getattr(error, "exit_code", _BAD_INPUT))
    return 0
