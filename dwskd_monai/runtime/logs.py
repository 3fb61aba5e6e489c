"""The log of a command: what this package says, and nothing that libraries say of data sets."""

from __future__ import annotations

import logging
import warnings

# Their warnings may have values of a header, a patient's name among them
_LIBRARIES = ("pydicom", "pynetdicom", "highdicom")


def begin_log(time_format: str) -> None:
    """Write messages to the error stream, each with its time.

    What matters about a data set is said by this package, without values that may be a name.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s", datefmt=time_format)
    warnings.simplefilter("ignore")
    for library in _LIBRARIES:
        logger = logging.getLogger(library)
        logger.propagate = False  # a level would not do: pydicom sets its own one while it is imported
        logger.addHandler(logging.NullHandler())  # without any, messages go to the error stream
