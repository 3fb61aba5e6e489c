"""Compares methods on a user's own data: ``comparison`` runs the grid, ``methods.yaml`` declares the methods."""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "TrainingRecord": "record",
    "epochs_of_labeling": "lengths",
    "fit_probe": "probes",
    "write_parameters": "record",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
