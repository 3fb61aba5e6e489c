"""Images as items of MONAI's datasets.

``sources`` and ``datalist`` find labelled images and split them by patient, ``images`` those without labels; ``slices``
makes datasets of their slices, which ``cache`` keeps; ``phantoms`` makes synthetic images.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {
    "SliceDataset": "slices",
    "SliceStream": "slices",
    "list_images": "images",
    "load_split": "datalist",
}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
