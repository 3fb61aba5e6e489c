"""The command line of an exported classifier."""

from __future__ import annotations

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

_BAD_INPUT = 2


def main(words: Sequence[str] | None = None, model: str | Path | None = None, name: str | None = None) -> int:
    """Classify studies; the exit code is 0, 2 for bad input, or 3 if images were refused.

    Args:
        words: of the command line; None: those of this process.
        model: the file of the classifier; None: the first word names it.
        name: of the command, for its help.
    """
    parser = argparse.ArgumentParser(name, description="Classify studies. Research only; not for diagnosis.")
    if model is None:
        parser.add_argument("model", help="the file that dwskd export wrote")
    parser.add_argument("studies", help="an image, a folder of images, a DICOM series, or a CSV or JSON datalist")
    parser.add_argument("--out", required=True, help="folder for predictions.csv, and refused.csv if there are any")
    parser.add_argument("--abstain", action="store_true", help="no class for studies unlike the training images")
    parser.add_argument("--strict", action="store_true", help="end at the first image that cannot be used")
    parser.add_argument("--threads", type=int, default=0, help="of ONNX Runtime; 0: one for each core")
    given = parser.parse_args(words)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S")
    # imported here, so that the help is shown at once
    from dwskd_monai.runtime.classifier import Classifier
    from dwskd_monai.runtime.predicting import predict_studies

    try:
        classifier = Classifier(given.model if model is None else model, given.threads)
        predict_studies(classifier, given.studies, given.out, given.abstain, given.strict)
    except (ValueError, OSError) as error:
        sys.stderr.write(f"{parser.prog}: {error}\n")
        return int(getattr(error, "exit_code", _BAD_INPUT))
    return 0
