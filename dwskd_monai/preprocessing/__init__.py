"""From the slices of an image to the network's input: one numpy implementation for training, inference and elsewhere.

``resizing`` and ``fitting`` change the size of slices, ``intensity`` changes their values, and ``expectation`` says
which images a network is for; none of these needs torch. ``transforms`` wraps them, and the reading of files, as
dictionary transforms, which the configs name.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "ExpectImaged": "transforms",
    "FitSlicesd": "transforms",
    "LoadSlicesd": "transforms",
    "NormalizeSlicesd": "transforms",
    "PadSlicesd": "transforms",
    "PREPROCESSING_VERSION": "version",
    "ScalePercentilesd": "transforms",
    "WindowHounsfieldd": "transforms",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
