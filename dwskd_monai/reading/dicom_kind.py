"""The kind of image that a DICOM header names; it is judged before the pixels are."""

from __future__ import annotations

from collections.abc import Sequence

from pydicom.uid import UID

from dwskd_monai.reading.dicom_header import Header

# What a header says about the kind of image, and the attribute that says it
SAYS = {
    "modality": "Modality",
    "sop_class": "SOPClassUID",
    "image_type": "ImageType",
    "body_part": "BodyPartExamined",
    "view": "ViewPosition",
    "rescale_type": "RescaleType",
    "conversion": "ConversionType",
    "series": "SeriesInstanceUID",
    "instance": "SOPInstanceUID",
}
TAGS = (*SAYS.values(), "PatientOrientation", "ViewCodeSequence", "AnatomicRegionSequence")

_NO_IMAGES = {"SEG": "masks of a segmentation", "RTDOSE": "doses of a radiotherapy plan"}  # by Modality
_ACROSS = ("A", "P")  # where the rows of a lateral view go: to anterior or posterior
# Words of an ImageType that tell apart the sorts of images in one study; the first that fits counts
_SORTS = {
    "localizer": {"LOCALIZER", "SCOUT", "SURVIEW", "TOPOGRAM", "SCANOGRAM"},
    "picture of a screen": {"SCREEN SAVE", "SCREEN", "SAVE", "DOSE", "DOSE_INFO", "PROTOCOL", "REPORT"},
    "projection": {"PROJECTION IMAGE", "MIP", "MINIP", "MNIP", "AIP", "VRT", "VOLUME RENDERING", "SSD"},
    "reformatted": {"REFORMATTED", "MPR", "CPR", "CURVED", "RESAMPLED", "CSA RESAMPLED", "MULTI_PLANAR"},
    "derived": {"DERIVED"},
    "original": {"ORIGINAL"},
}


def says_of(header: Header) -> dict[str, str]:
    """Values in capitals, by the names of ``SAYS``; attributes that are empty are left out."""
    values = {name: header.text(tag).upper() for name, tag in SAYS.items()}
    name = UID(values["sop_class"]).name.upper()
    if name != values["sop_class"]:  # one that pydicom knows
        values["sop_class"] += f" ({name})"
    values["view"] = values["view"] or _meaning(header, "ViewCodeSequence")
    if not values["view"] and header.text("PatientOrientation").upper().startswith(_ACROSS):
        values["view"] = "LATERAL"
    values["body_part"] = values["body_part"] or _meaning(header, "AnatomicRegionSequence")
    return {name: value for name, value in values.items() if value}


def says_of_series(headers: Sequence[Header]) -> dict[str, str]:
    """What the headers of the slices of a series say: the image types of all slices, and the rest of the first one."""
    says = says_of(headers[0])
    types = sorted({header.text("ImageType").upper() for header in headers} - {""})
    if types:
        says["image_type"] = "\\".join(types)
    says.pop("instance", None)
    return says


def sort_of(header: Header) -> str:
    """Which sort of image of a study it is, such as ``localizer`` or ``original``; ``image`` if nothing tells."""
    words = {word.strip() for word in header.text("ImageType").upper().split("\\")}
    return next((sort for sort, names in _SORTS.items() if words & names), "image")


def refuse_no_image(header: Header) -> None:
    """Refuse a file that has no pixels, or pixels that are not an image."""
    modality = header.text("Modality")
    if not header.raw("Rows") or not header.raw("Columns"):
        raise header.refusal(
            "a DICOM file without pixels, such as a report, or one that is cut off; expected an image", "format"
        )
    if modality in _NO_IMAGES:
        raise header.refusal(f"expected an image, got {_NO_IMAGES[modality]} (Modality {modality})", "format")


def refuse_color(header: Header) -> None:
    """Refuse pixels of several samples."""
    samples = header.whole("SamplesPerPixel", 1)
    if samples != 1:
        raise header.refusal(f"expected gray pixels, got {samples} samples per pixel (color)", "format")


def _meaning(header: Header, sequence: str) -> str:
    """What the first code of a sequence means, in capitals; empty if there is none."""
    items = header.items(sequence)
    return str(items[0].get("CodeMeaning") or "").upper() if items else ""
