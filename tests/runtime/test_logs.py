"""The log of a command has no values of a header."""

from __future__ import annotations

import subprocess
import sys

from tests.conftest import REPOSITORY

SAID = """
import logging
from dwskd_monai.runtime.logs import begin_log
begin_log("%H:%M:%S")
from pydicom.misc import warn_and_log
warn_and_log("Invalid value for VR UI: 'Secret^Name'")
logging.getLogger("pydicom.pixels").error("Secret^Name")
logging.getLogger("dwskd_monai").info("1 study")
"""


def test_what_pydicom_says_of_values_is_not_in_it_even_if_pydicom_is_imported_later():
    process = subprocess.run([sys.executable, "-c", SAID], capture_output=True, text=True, check=True, cwd=REPOSITORY)
    assert process.stderr.count("\n") == 1
    assert process.stderr.endswith("INFO 1 study\n")
