"""From the slices of an image to the network's input: one numpy implementation for training, inference and elsewhere.

``resizing`` and ``fitting`` say how large slices become, ``intensity`` what their values become, ``expectation`` which
images are meant; none of these needs torch. ``transforms`` wraps them, and reading, as the dictionary transforms that
the configs name.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "ExpectImaged": "transforms",
    "FitSlicesd": "transforms",
    "LoadSlicesd": "transforms",
    "NormalizeSlicesd": "transforms",
    "PadSlicesd": "transforms",
    "PREPROCESSING_VERSION": "transforms",
    "ScalePercentilesd": "transforms",
    "WindowHounsfieldd": "transforms",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
