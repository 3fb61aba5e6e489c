"""Bundles as folders of files: rendered from a template, read with overrides, and the one that runs.

``bundle`` is a bundle's folder with its metadata and configs, ``trained`` its network with its weights. What decides a
prediction (``decisive``) is written by a training (``settings_record``) into a file (``settings_file``), and taken by
each later use (``trained_settings``); ``earlier`` keeps what another training left. ``running`` prepares the bundle
that runs: ``overrides`` are checked, ``errors`` end as one message, and ``image_size`` is asked of the network.
``render`` writes the bundles' files from ``template``, ``commented_yaml`` changes them, and ``monai_command`` runs them
as MONAI's own command does.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "Bundle": "bundle",
    "SettingsRecord": "settings_record",
    "check_classes": "classes",
    "check_image_size": "image_size",
    "find_bundle_root": "running",
    "keep_earlier_training": "earlier",
    "load_trained_settings": "trained_settings",
    "prepare_run": "running",
    "trained_network": "trained_settings",
    "trained_transforms": "trained_settings",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
