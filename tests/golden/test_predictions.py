"""Frozen: ``predictions.csv`` and ``slice_predictions.csv`` of each bundle's inference on phantoms.

The network is tiny and seeded. Columns, their order and all text are compared exactly, probabilities within 1e-4; of a
study the path below the folder of the studies is kept.

Where predictions are meant to change: ``pytest tests/golden/test_predictions.py --update-golden``, and read the
difference of ``expected/predictions.json``. They change with the preprocessing too.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from monai.bundle import ConfigWorkflow
from torch import nn

from dwskd_monai.bundle import Bundle
from dwskd_monai.data.phantoms import MODALITIES, make_phantom
from tests.bundles.commands import SMALL_SETTINGS, save_network
from tests.conftest import BUNDLES, tiny_convnext
from tests.golden.golden import Golden, assert_no_case_is_left_over

COUNTS = ("slice", "slices")
SHARPNESS = 20  # a new classifier hardly tells images apart, and its predictions would be all alike
# The index decides which format a phantom has: DICOM, a DICOM series, a sagittal volume.
FURTHER = {"chest_xray": 3, "lung_ct": 1, "brain_mri": 2}
CASES: dict[str, tuple[Path, dict[str, Any]]] = {
    **{bundle.name: (bundle, {}) for bundle in BUNDLES},
    f"{BUNDLES[1].name}, max": (BUNDLES[1], {"aggregate": "max"}),
    f"{BUNDLES[2].name}, top_k": (BUNDLES[2], {"aggregate": "top_k", "top_k": 3}),
}


def write_studies(modality: str, folder: Path) -> None:
    """Two phantoms of the first class and, in another format, one of the last."""
    folder.mkdir()
    for seed in (0, 1):
        make_phantom(modality, folder / f"phantom_{seed}", seed)
    maker = MODALITIES[modality]
    maker.write(maker.CLASSES[-1], folder / "further", FURTHER[modality], "P1", np.random.default_rng(2))


def network(num_classes: int) -> nn.Module:
    """Tiny, with the same weights each time."""
    torch.manual_seed(0)
    result = tiny_convnext(num_classes=num_classes, ls_init_value=1.0)
    with torch.no_grad():
        result.head.fc.weight.mul_(SHARPNESS)
    return result


def predict(bundle: Path, studies: Path, folder: Path, settings: dict[str, Any]) -> None:
    """Run inference as ``monai.bundle run`` does, in this process, and write into ``folder``."""
    config = bundle / "configs" / "inference.yaml"
    num_classes = len(Bundle(bundle).class_names)
    save_network(network(num_classes), folder, bundle, **SMALL_SETTINGS, **settings)
    places = {"dataset_dir": str(studies), "ckpt_dir": str(folder), "output_dir": str(folder / "out")}
    workflow = ConfigWorkflow(
        str(config),
        str(bundle / "configs" / "metadata.json"),
        logging_file=False,  # it would change how the tests that follow log
        workflow_type="infer",
        **places,
        num_workers=0,
    )
    workflow.initialize()
    workflow.run()
    workflow.finalize()


def read_table(path: Path, studies: Path) -> dict[str, Any]:
    """Columns and rows of a CSV file, with numbers as numbers."""
    with path.open(newline="") as file:
        columns, *lines = csv.reader(file)
    rows = []
    for line in lines:
        rows.append([value_of(column, text, studies) for column, text in zip(columns, line)])
    return {"columns": columns, "rows": rows}


def value_of(column: str, text: str, studies: Path) -> str | int | float:
    if column == "study":
        return Path(text).relative_to(studies).as_posix()
    if column in ("predicted", "at_operating_point", "prediction_set", "unlike_training", "note") or not text:
        return text
    return int(text) if column in COUNTS else float(text)


@pytest.fixture
def _untouched_interpreter(monkeypatch) -> None:
    """A workflow leaves its folder on the path, and a hook that explains errors."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(sys, "excepthook", sys.excepthook)


@pytest.mark.slow
@pytest.mark.usefixtures("_untouched_interpreter")
@pytest.mark.parametrize("case", CASES)
def test_inference_predicts_what_it_predicted(golden: Golden, tmp_path, case):
    bundle, settings = CASES[case]
    studies = tmp_path / "studies"
    write_studies(bundle.name.removesuffix("_classification"), studies)
    predict(bundle, studies, tmp_path, settings)
    written = {path.name: read_table(path, studies) for path in sorted((tmp_path / "out").glob("*.csv"))}
    if settings:
        del written["slice_predictions.csv"]  # how slices are aggregated changes nothing there
    golden.check("predictions", case, written, atol=1e-4)


def test_each_inference_that_is_kept_is_compared():
    assert_no_case_is_left_over("predictions", CASES)
