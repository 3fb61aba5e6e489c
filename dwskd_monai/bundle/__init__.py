"""Bundles as folders of files: rendering them from a template, reading them with overrides, and running them.

``bundle`` is a bundle's folder with its metadata and configs, ``trained`` its network with its weights. A training
writes (``settings_record``) the settings that decide a prediction (``decisive``) into a file (``settings_file``), with
what it had changed of ``train.yaml`` (``training_config``). Each later use reads them as ``trained_settings``, configs
with the functions in ``trained_parts``; ``earlier`` keeps what another training left. ``running`` prepares the bundle
that runs: it checks ``overrides``, and ends ``errors`` with one message; ``image_size`` checks whether the network
takes images of this size, and ``places`` lists settings that name files. ``render`` writes the bundles' files from
``template``, ``commented_yaml`` changes them, and ``monai_command`` runs them as MONAI's own command does.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "Bundle": "bundle",
    "RefuseReplacedWeights": "trained_parts",
    "SettingsRecord": "settings_record",
    "check_classes": "classes",
    "check_image_size": "image_size",
    "find_bundle_root": "running",
    "keep_earlier_training": "earlier",
    "load_other_settings": "trained_parts",
    "load_trained_settings": "trained_parts",
    "overrides_of_run": "running",
    "prepare_run": "running",
    "trained_network": "trained_parts",
    "trained_transforms": "trained_parts",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
