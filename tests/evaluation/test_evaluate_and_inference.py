"""``evaluate.yaml`` and ``inference.yaml`` predict one datalist alike, in this process."""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from monai.bundle import ConfigWorkflow

from dwskd_monai.data.phantoms import make_phantom
from tests.bundles.commands import SMALL_SETTINGS
from tests.conftest import BUNDLES, tiny_convnext

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
    network = tiny_convnext(num_classes=2, ls_init_value=1.0)
    (tmp_path / "models").mkdir()
    torch.save(network.state_dict(), tmp_path / "models" / "model.pt")
    return tmp_path / "models"


@pytest.fixture(autouse=True)
def _untouched_interpreter(monkeypatch) -> None:
    """A workflow leaves its folder on the path, and a hook that explains errors."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


def run(kind: str, *names: str, **settings: Any) -> None:
    """Run configs of the bundle as ``monai.bundle run`` does."""
    files = [str(BUNDLE / "configs" / f"{name}.yaml") for name in names]
    workflow = ConfigWorkflow(
        files if len(files) > 1 else files[0],
        logging_file=False,  # it would change how the tests that follow log
        workflow_type=kind,
        **SMALL_SETTINGS,
        **settings,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def read_rows(path: Path, key: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, str]]:
    with path.open(newline="") as file:
        return {tuple(row[column] for column in key): row for row in csv.DictReader(file)}


def test_a_study_of_several_images_is_predicted_as_it_was_evaluated(datalist, models, tmp_path):
    common = {"dataset_dir": str(datalist), "ckpt_dir": str(models)}
    evaluated = tmp_path / "evaluated"
    inferred = tmp_path / "inferred"
    run("train", "train", "evaluate", **common, output_dir=str(evaluated), split="all", cache_dir=None)
    run("infer", "inference", **common, output_dir=str(inferred))
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
