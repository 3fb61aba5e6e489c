"""Bundles as folders of files: rendered from a template, read with overrides, and the one that runs.

``bundle`` is a bundle's folder with its metadata and configs, ``trained`` its network with its weights. ``running``
prepares the bundle that runs: ``overrides`` are checked, and ``errors`` end as one message. ``render`` writes the
bundles' files from ``template``.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "Bundle": "bundle",
    "check_classes": "bundle",
    "find_bundle_root": "running",
    "prepare_run": "running",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
