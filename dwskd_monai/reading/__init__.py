"""Reading files of every format as images: slices of one orientation, with their spacing.

``read`` has a file read by the module that ``formats`` names for it: ``pictures`` PNG and JPEG, ``dicom`` files, series
and multi-frame files, ``nifti`` NIfTI. ``geometry`` brings a ``Volume`` to one orientation, cut as ``slice_axis`` says,
as an ``Image``. ``refusal`` is the error of an image that is not read. ``find`` lists the images of a folder. Without
the libraries that only volumes need (pydicom, itk, nibabel) pictures are still read.
"""

from dwskd_monai.reading.image import Image
from dwskd_monai.reading.read import read_image
from dwskd_monai.reading.refusal import RefusedImage
from dwskd_monai.reading.slice_axis import checked_slice_axis

__all__ = ["Image", "RefusedImage", "checked_slice_axis", "read_image"]
