"""ONNX Runtime tells nobody about the machines on which it runs."""

from __future__ import annotations

import os


def disable_telemetry() -> None:
    """Call this before ONNX Runtime is imported; later it has no effect.

    Official builds of 1.32 keep an identifier of the machine in ``~/.cache/Microsoft``, and send it to Microsoft with
    the path of the interpreter and what the machine is. Whoever wants that sets ``ORT_DISABLE_TELEMETRY`` to 0.
    """
    os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")
