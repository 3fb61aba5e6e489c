"""What a classifier says of a study, as DICOM that goes beside its images: a Structured Report, and a picture.

``answers`` makes both, and ``writing`` writes them for the studies of a run. ``sources`` reads the headers of the
images, ``modules`` copies what they say of patient and study, ``said`` collects what is said, ``concepts`` has codes
for it, ``series`` gives identifiers, ``report`` and ``capture`` make the two objects, and ``page`` draws the picture.
Only headers are read here. Names of patients are copied from file to file; they are never logged, and are in no name
of a file.
"""

from dwskd_monai.lazy import attribute_finder

_MODULES = {"answer_datasets": "answers"}
__all__ = list(_MODULES)
__getattr__ = attribute_finder(__name__, _MODULES)
