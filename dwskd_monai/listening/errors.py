"""What the log says of errors that nobody expected."""

from __future__ import annotations

import traceback
from pathlib import Path


def placed(error: BaseException) -> str:
    """The type of an error and where it was raised; its text may have values of a header, a patient's name among them.

    Examples:
        >>> try:
        ...     int("DOE^JANE")
        ... except ValueError as error:
        ...     shown = placed(error)
        >>> shown.startswith("ValueError in "), "DOE" in shown
        (True, False)
    """
    frame = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(frame.filename).name}, line {frame.lineno}"
