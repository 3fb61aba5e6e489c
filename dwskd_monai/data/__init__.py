"""Images as items of MONAI's datasets.

``rows`` reads datalists (``datalist_files``, ``columns``), ``sources`` and ``datalist`` find labeled images and split
them by patient (``patients``, ``groups``, ``copies``), ``images`` those without labels. ``slices`` and ``stream`` make
datasets of their slices: of images in a ``store``, which keeps them in a ``cache`` or in memory, or of one image after
the other. ``near_copies`` finds images that show the same, ``leaks`` those of a training. ``phantoms`` makes synthetic
images.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "RefusedImages": "refused",
    "SliceDataset": "slices",
    "SliceStream": "stream",
    "check_validation": "class_counts",
    "has_trained_images": "evaluation_split",
    "list_images": "images",
    "load_evaluation_split": "evaluation_split",
    "load_split": "datalist",
    "require_images": "refused",
    "warn_near_copies": "leaks",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
