"""Reading image files of every kind as studies: slices of one orientation, with their spacing.

``study`` tells the kind of a file and has it read, ``pictures`` reads PNG and JPEG, ``dicom`` files, series and
multi-frame files, ``nifti`` NIfTI; ``geometry`` brings what was read to one orientation.
"""

from dwskd_monai.reading.geometry import Study, checked_slice_axis
from dwskd_monai.reading.study import read_study

__all__ = ["Study", "checked_slice_axis", "read_study"]
