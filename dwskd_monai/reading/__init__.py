"""Reading image files of every kind as studies: slices of one orientation, with their spacing.

``study`` tells the kind of a file and has it read, ``pictures`` reads PNG and JPEG, ``dicom`` files, series and
multi-frame files, ``nifti`` NIfTI; ``geometry`` brings what was read to one orientation.
"""

from dwskd_monai.reading.geometry import SLICE_AXES, Study
from dwskd_monai.reading.study import read_study

__all__ = ["SLICE_AXES", "Study", "read_study"]
