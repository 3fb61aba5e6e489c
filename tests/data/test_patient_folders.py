"""Which folders of images without labels are taken for patients."""

from pathlib import Path

import pytest

from dwskd_monai.data.patient_folders import likely_patients


def folders(*images: str) -> list[list[Path]]:
    return [[folder for folder in reversed(Path(image).parents) if folder.name] for image in images]


@pytest.mark.parametrize(
    ("images", "depth", "expected"),
    [
        (["P1/1.png", "P2/2.png", "P2/3.png", "4.png"], None, ["P1", "P2", "P2", None]),
        (["P1/CT/1.png", "P2/CT/2.png", "P3/MR/3.png"], None, ["P1", "P2", "P3"]),
        (["all/P1/1.png", "all/P2/2.png", "3.png"], None, ["P1", "P2", None]),
        (["all/1.png", "all/2.png", "3.png"], None, [None, None, None]),
        (["A/P1/1.png", "A/P2/2.png", "B/P3/3.png", "B/P4/4.png"], None, ["A", "A", "B", "B"]),
        (["A/P1/1.png", "A/P2/2.png", "B/P3/3.png", "B/P4/4.png"], 0, ["P1", "P2", "P3", "P4"]),
        (["A/P1/s1/1.png", "A/P1/s2/2.png", "B/P3/s1/3.png"], 1, ["P1", "P1", "P3"]),
        (["P1/visit1/1.png", "P2/visit1/2.png", "P3/visit2/3.png"], 0, ["P1", "P2", "P3"]),
        (["P1/1.png", "P2/2.png", "P3/3.png"], 1, ["P1", "P2", "P3"]),
        (["P1/1.png", "A/P2/2.png", "B/P3/3.png"], 0, ["P1", "P2", "P3"]),
    ],
)
def test_the_folder_of_a_patient_is_as_deep_as_among_labeled_images_or_the_outer_one(images, depth, expected):
    found = likely_patients(folders(*images), depth)
    assert [folder and folder.name for folder in found] == expected


def test_without_images_there_are_no_patients():
    assert likely_patients([], 0) == []
