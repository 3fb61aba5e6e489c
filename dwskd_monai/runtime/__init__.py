"""Runs a classifier that was exported to one ONNX file, with numpy and ONNX Runtime: neither torch nor MONAI.

Reading, and what is said of studies, are those of the rooms ``reading``, ``preprocessing`` and ``evaluation``, as in a
bundle's own inference.
"""

from dwskd_monai.telemetry import disable_telemetry

disable_telemetry()  # as the package does; in a wheel, this room is without it
