"""Reading image files of every kind as studies: slices of one orientation, with their spacing.

``study`` has a file read by what ``kinds`` takes it for: ``pictures`` reads PNG and JPEG, ``dicom`` files, series and
multi-frame files, ``nifti`` NIfTI; ``geometry`` brings a ``volume`` to one orientation. Without the libraries that
only volumes need (pydicom, itk, nibabel) pictures are still read.
"""

from dwskd_monai.reading.study import read_study
from dwskd_monai.reading.volume import Study, checked_slice_axis

__all__ = ["Study", "checked_slice_axis", "read_study"]
