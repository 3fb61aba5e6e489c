"""Reading files of every format as images: slices of one orientation, with their spacing.

``read`` has a file read by the reader that ``formats`` has for it: ``pictures`` reads PNG and JPEG, ``dicom`` files,
series and multi-frame files, ``nifti`` NIfTI; ``geometry`` brings what they give, a ``Volume``, to one orientation, an
``Image``. ``find`` lists the images of a folder. Without the libraries that only volumes need (pydicom, itk, nibabel)
pictures are still read.
"""

from dwskd_monai.reading.image import Image, checked_slice_axis
from dwskd_monai.reading.read import read_image

__all__ = ["Image", "checked_slice_axis", "read_image"]
