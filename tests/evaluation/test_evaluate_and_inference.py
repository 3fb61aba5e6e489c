"""``evaluate.yaml`` and ``inference.yaml`` predict one datalist alike, in this process."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from dwskd_monai.data.phantoms import make_phantom
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLES, tiny_convnext
from tests.evaluation.workflows import run_configs

BUNDLE = BUNDLES[1]
ROWS = ("covid,P1,S1,", "non_covid,P2,,", "covid,P1,S1,")  # the images of S1 are apart


@pytest.fixture
def datalist(tmp_path) -> Path:
    """Three phantoms, two of which are one study."""
    lines = ["image,label,patient,study,split"]
    for seed, row in enumerate(ROWS):
        image = make_phantom("lung_ct", tmp_path / f"image{seed}", seed)
        lines.append(f"{image.name},{row}")
    (tmp_path / "list.csv").write_text("\n".join(lines))
    return tmp_path / "list.csv"


@pytest.fixture
def models(tmp_path) -> Path:
    return save_network(tiny_convnext(num_classes=2, ls_init_value=1.0), tmp_path / "models", BUNDLE, **SMALL_SETTINGS)


def read_rows(path: Path, key: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, str]]:
    with path.open(newline="") as file:
        return {tuple(row[column] for column in key): row for row in csv.DictReader(file)}


def test_a_study_of_several_images_is_predicted_as_it_was_evaluated(datalist, models, tmp_path):
    common = {"dataset_dir": str(datalist), "ckpt_dir": str(models)}
    evaluated = tmp_path / "evaluated"
    inferred = tmp_path / "inferred"
    run_configs(BUNDLE, "train", "evaluate", **common, output_dir=str(evaluated), split="all", cache_dir=None)
    run_configs(BUNDLE, "inference", **common, output_dir=str(inferred))
    for name, key in (("predictions.csv", ("study",)), ("slice_predictions.csv", ("study", "slice"))):
        expected = read_rows(evaluated / name, key)
        rows = read_rows(inferred / name, key)
        assert rows.keys() == expected.keys()
        for place, row in rows.items():
            assert row == {column: expected[place][column] for column in row}
    studies = read_rows(inferred / "predictions.csv", ("study",))
    slices = read_rows(inferred / "slice_predictions.csv", ("study", "slice"))
    count = int(studies["S1",]["slices"])
    assert len(studies) == 2
    assert [index for study, index in slices if study == "S1"] == [str(index) for index in range(count)]
