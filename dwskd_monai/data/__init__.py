"""Images as items of MONAI's datasets.

``rows`` reads datalists (``datalist_files``, ``columns``). ``sources`` and ``datalist`` find labeled images and split
them by patient (``patients``, ``groups``, ``copies``); ``images`` finds images without labels. ``slices`` and
``stream`` make datasets of slices: ``slices`` from images in a ``store``, which keeps them in a ``cache`` or in memory,
``stream`` from one image after the other. ``near_copies`` finds images that show the same, ``leaks`` those among the
validation images; ``unlabeled`` leaves them out of the images without labels. ``phantoms`` makes synthetic images.
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
    "named_folds": "datalist",
    "open_unlabeled": "unlabeled",
    "require_images": "refused",
    "warn_near_copies": "leaks",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
