"""Writing phantoms as the files that hospitals have: DICOM files, series and multi-frame files, and NIfTI."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
from nibabel.affines import voxel_sizes
from nibabel.orientations import axcodes2ornt, inv_ornt_aff, io_orientation, ornt_transform
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileDataset, FileMetaDataset, validate_file_meta
from pydicom.uid import (
    CTImageStorage,
    EnhancedCTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    SecondaryCaptureImageStorage,
    generate_uid,
)
from pydicom.valuerep import DSfloat

_CLASSES = {"CT": (CTImageStorage, EnhancedCTImageStorage), "MR": (MRImageStorage, EnhancedMRImageStorage)}
_INTERCEPT = {"CT": -1024.0, "MR": 0.0}


def write_dicom(stored: NDArray[np.uint16], path: Path, patient: str, inverted: bool) -> None:
    """A secondary-capture DICOM of 12 bits; ``inverted`` stores the same picture as MONOCHROME1."""
    dataset = _dataset(SecondaryCaptureImageStorage, "DX", patient, path.stem, "image", stored.shape)
    dataset.PhotometricInterpretation = "MONOCHROME1" if inverted else "MONOCHROME2"
    dataset.PixelData = (4095 - stored if inverted else stored).astype("<u2").tobytes()
    dataset.save_as(path)


def write_nifti(volume: NDArray[np.floating], affine: NDArray[np.float64], path: Path, codes: str = "RAS") -> None:
    """A NIfTI file of 16-bit pixels, its axes turned to ``codes`` first (a lossless change of order)."""
    image = nibabel.Nifti1Image(np.round(volume).astype(np.int16), affine)
    turned = image.as_reoriented(ornt_transform(io_orientation(affine), axcodes2ornt(codes)))
    nibabel.save(turned, path)


def write_series(
    volume: NDArray[np.floating], affine: NDArray[np.float64], folder: Path, patient: str, modality: str
) -> None:
    """A folder with one axial DICOM file per slice, in an order that is not that of the slices."""
    slices, affine = _as_slices(volume, affine)
    folder.mkdir()
    for index, pixels in enumerate(slices):
        name = f"{index * 7919 % len(slices):03d}-{index:03d}"
        dataset = _dataset(_CLASSES[modality][0], modality, patient, folder.name, f"slice {index}", pixels.shape)
        dataset.InstanceNumber = index + 1
        dataset.ImageOrientationPatient, dataset.PixelSpacing, dataset.SliceThickness = _plane(affine)
        dataset.ImagePositionPatient = _position(affine, index)
        dataset.RescaleSlope = "1"
        dataset.RescaleIntercept = f"{_INTERCEPT[modality]:g}"
        dataset.PixelData = _stored(pixels, modality)
        dataset.save_as(folder / f"{name}.dcm")


def write_multiframe(
    volume: NDArray[np.floating], affine: NDArray[np.float64], path: Path, patient: str, modality: str
) -> None:
    """One enhanced multi-frame file with all axial slices, from superior to inferior."""
    slices, affine = _as_slices(volume, affine)
    dataset = _dataset(_CLASSES[modality][1], modality, patient, path.stem, "frames", slices.shape[1:])
    dataset.NumberOfFrames = len(slices)
    orientation, spacing, thickness = _plane(affine)
    scale = _item(RescaleSlope="1", RescaleIntercept=f"{_INTERCEPT[modality]:g}", RescaleType="US")
    measures = _item(PixelSpacing=spacing, SliceThickness=thickness)
    plane = _item(ImageOrientationPatient=orientation)
    dataset.SharedFunctionalGroupsSequence = [
        _item(
            PixelMeasuresSequence=[measures], PlaneOrientationSequence=[plane], PixelValueTransformationSequence=[scale]
        )
    ]
    order = range(len(slices))[::-1]
    dataset.PerFrameFunctionalGroupsSequence = [
        _item(PlanePositionSequence=[_item(ImagePositionPatient=_position(affine, index))]) for index in order
    ]
    dataset.PixelData = b"".join(_stored(slices[index], modality) for index in order)
    dataset.save_as(path)


def _dataset(
    storage: str, modality: str, patient: str, study: str, instance: str, shape: tuple[int, ...]
) -> FileDataset:
    """What all our DICOM files have: 16 bits allocated, 12 used, no sign; identifiers from their names alone."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = storage
    meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[study, patient, instance])
    validate_file_meta(meta)
    meta.FileMetaInformationGroupLength = 0  # filled in when it is written
    dataset = FileDataset("", {}, file_meta=meta, preamble=b"\0" * 128, is_implicit_VR=False, is_little_endian=True)
    dataset.SOPClassUID = storage
    dataset.SOPInstanceUID = meta.MediaStorageSOPInstanceUID
    dataset.StudyInstanceUID = generate_uid(entropy_srcs=[study, patient, "study"])
    dataset.SeriesInstanceUID = generate_uid(entropy_srcs=[study, patient, "series"])
    dataset.Modality = modality
    dataset.PatientID = patient
    dataset.PatientName = f"Phantom^{patient}"
    dataset.Rows, dataset.Columns = shape
    dataset.SamplesPerPixel = 1
    dataset.PixelRepresentation = 0
    dataset.BitsAllocated = 16
    dataset.BitsStored = 12
    dataset.HighBit = 11
    dataset.PhotometricInterpretation = "MONOCHROME2"
    return dataset


def _item(**attributes: object) -> Dataset:
    item = Dataset()
    for name, value in attributes.items():
        setattr(item, name, value)
    return item


def _as_slices(
    volume: NDArray[np.floating], affine: NDArray[np.float64]
) -> tuple[NDArray[np.floating], NDArray[np.float64]]:
    """Axial slices ``(D, H, W)``, columns to the left and rows to the back, with their affine."""
    transform = ornt_transform(io_orientation(affine), axcodes2ornt("LPS"))
    affine = affine @ inv_ornt_aff(transform, volume.shape)
    slices = nibabel.orientations.apply_orientation(volume, transform).transpose(2, 1, 0)
    return slices, affine


def _plane(affine: NDArray[np.float64]) -> tuple[list[DSfloat], list[DSfloat], DSfloat]:
    """Direction cosines, spacing of rows and columns, and distance of slices; ``affine`` has columns, rows, slices."""
    columns, rows, between = voxel_sizes(affine)
    directions = _patient(affine)[:3, :2] / [columns, rows]
    return _decimals(directions.T.ravel()), _decimals([rows, columns]), _decimals([between])[0]


def _position(affine: NDArray[np.float64], index: int) -> list[DSfloat]:
    return _decimals((_patient(affine) @ [0, 0, index, 1])[:3])


def _patient(affine: NDArray[np.float64]) -> NDArray[np.float64]:
    """DICOM's axes go to the left and to the back where NIfTI's go to the right and to the front."""
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine


def _decimals(values: NDArray[np.float64] | list[float]) -> list[DSfloat]:
    """DICOM's decimal strings have at most 16 characters."""
    return [DSfloat(float(value) + 0.0, auto_format=True) for value in values]  # 0 in place of -0


def _stored(pixels: NDArray[np.floating], modality: str) -> bytes:
    return np.clip(np.round(pixels) - _INTERCEPT[modality], 0, 4095).astype("<u2").tobytes()
