"""What kind of image a header tells of is judged before its geometry and its pixels are."""

from __future__ import annotations

import numpy as np
import pytest
from pydicom.uid import SecondaryCaptureImageStorage

from dwskd_monai.data.phantoms.writing import write_series
from dwskd_monai.preprocessing import LoadSlicesd
from dwskd_monai.reading import RefusedImage, read_image
from tests.reading.dicom_files import change, write

LUNG = {
    "expected": {"modality": ["CT"]},
    "unexpected": {
        "sop_class": [SecondaryCaptureImageStorage],
        "image_type": ["LOCALIZER", "SCREEN"],
        "conversion": ["WSD"],
    },
}
SECONDARY = (
    r"sop class is 1.2.840.10008.5.1.4.1.1.7 \(SECONDARY CAPTURE IMAGE STORAGE\); this network is not for such images; "
    r"to use such images: --accept \"\['sop_class=1.2.840.10008.5.1.4.1.1.7'\]"
)


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"Modality": "CT"}, SECONDARY),  # which lacks its rescale too
        ({"Modality": "CT", "SamplesPerPixel": 3}, SECONDARY),
        ({"Modality": "CT", "PixelSpacing": "1,5"}, SECONDARY),
        ({"Modality": "CT", "PixelData": None}, SECONDARY),
        ({"Modality": "CT", "SOPClassUID": None, "ConversionType": "WSD"}, "conversion is WSD"),
        (
            {"Modality": "CT", "SOPClassUID": None, "ImageType": ["DERIVED", "SECONDARY", "SCREEN SAVE"]},
            "image type is",
        ),
        ({"SOPClassUID": None, "RescaleSlope": "0"}, "modality is DX; expected CT"),
        ({"SOPClassUID": None, "Modality": "US", "NumberOfFrames": 4}, "modality is US; expected CT"),
        ({"SOPClassUID": None, "PresentationIntentType": "FOR PROCESSING"}, "modality is DX; expected CT"),
    ],
)
def test_the_kind_of_a_file_is_said_before_what_is_wrong_with_its_pixels(tmp_path, attributes, message):
    path = write(tmp_path / "a.dcm", **attributes)
    with pytest.raises(RefusedImage, match=f"a.dcm: {message}") as caught:
        LoadSlicesd("image", **LUNG)({"image": path})
    assert caught.value.kind == "unexpected"
    assert caught.value.instance is not None


def test_a_kind_that_is_accepted_is_refused_for_its_pixels(tmp_path):
    path = write(tmp_path / "a.dcm", Modality="CT")
    accept = [f"sop_class={SecondaryCaptureImageStorage}"]
    with pytest.raises(RefusedImage, match="no rescale: RescaleSlope is missing"):
        LoadSlicesd("image", **LUNG, accept=accept)({"image": path})


@pytest.mark.parametrize("attributes", [{}, {"PixelSpacing": "0\\0"}, {"RescaleSlope": None}, {"SamplesPerPixel": 3}])
def test_the_kind_of_a_series_is_said_before_what_is_wrong_with_its_slices(tmp_path, attributes):
    write_series(np.arange(48.0).reshape(4, 4, 3), np.eye(4), tmp_path / "s", "P1", "CT")
    for path in (tmp_path / "s").iterdir():
        change(path, ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"], **attributes)
    with pytest.raises(RefusedImage, match=r"s: image type is ORIGINAL.PRIMARY.LOCALIZER; this network"):
        LoadSlicesd("image", **LUNG)({"image": tmp_path / "s"})


def test_what_is_not_an_image_is_said_first_since_it_is_never_taken(tmp_path):
    path = write(tmp_path / "a.dcm", Modality="SEG")
    with pytest.raises(RefusedImage, match="expected an image, got masks of a segmentation"):
        LoadSlicesd("image", **LUNG)({"image": path})


def test_a_header_is_judged_by_what_the_image_says(tmp_path):
    heard = []
    path = write(tmp_path / "a.dcm", BodyPartExamined="CHEST")
    image = read_image(path, judge=lambda says: heard.append(dict(says)))
    assert heard == [dict(image.says)]
    assert image.says["body_part"] == "CHEST"
