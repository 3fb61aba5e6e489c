"""The version of reading and preprocessing, in a module of its own: the runtime has no MONAI."""

# Part of the key of a preprocessed image in the cache, and of what a trained network expects. Raise it whenever reading
# or preprocessing gives any other pixel, so that no training mixes images of two versions, and no network gets images
# of another one; the golden pixels of the tests show when this is so.
PREPROCESSING_VERSION = 3
