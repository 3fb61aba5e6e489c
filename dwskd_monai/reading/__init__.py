"""Reading files of every format as images: slices of one orientation, with their spacing.

``read`` passes a file to the module that ``formats`` names for it: ``pictures`` reads PNG and JPEG; ``dicom`` reads
files, series and multi-frame files; ``nifti`` reads NIfTI. ``geometry`` turns a ``Volume`` to one orientation and cuts
it, as ``slice_axis`` says, into the slices of an ``Image``. ``refusal`` has the error for an image that is not read.
``find`` lists the images of a folder. Pictures can be read without the libraries that only volumes need (pydicom, itk,
nibabel).
"""

from dwskd_monai.reading.image import Image
from dwskd_monai.reading.read import read_image
from dwskd_monai.reading.refusal import RefusedImage
from dwskd_monai.reading.slice_axis import checked_slice_axis

__all__ = ["Image", "RefusedImage", "checked_slice_axis", "read_image"]
