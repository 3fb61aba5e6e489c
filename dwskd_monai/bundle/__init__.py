"""Bundles as folders of files: rendered from a ``template``, read with overrides, and the one that runs.

``running`` finds the bundle whose workflow is running, ``errors`` what is wrong below what MONAI says, ``configs``
reads and checks configs, ``trained`` is a bundle's network with its weights, ``render`` writes the bundles' files.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "check_classes": "configs",
    "explain_errors": "errors",
    "find_bundle_root": "running",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
