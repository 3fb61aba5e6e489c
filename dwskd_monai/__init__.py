"""Small medical image classifiers from large pretrained models, by DWS-SKD."""

from dwskd_monai.lazy import attribute_finder
from dwskd_monai.telemetry import disable_telemetry

disable_telemetry()  # before MONAI imports ONNX Runtime
__version__ = "0.2.0"

_MODULES = dict.fromkeys(("Rules", "Teacher", "select_pair", "select_weights"), "weight_selection")
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
