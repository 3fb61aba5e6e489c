from __future__ import annotations

import ast
import sys

import pytest

from dwskd_monai.bundle import load_trained_settings
from dwskd_monai.commands.pack.configs import targets
from dwskd_monai.inference_code import inference_code
from tests.conftest import BUNDLES

# What comes with monai and timm, and what is imported only for volumes
THERE = {"filelock", "ignite", "monai", "numpy", "PIL", "safetensors", "torch", "tqdm", "yaml"}
FOR_VOLUMES = {"itk", "nibabel", "pydicom"}


@pytest.mark.slow
@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_code_that_travels_is_whole_and_needs_only_monai_and_timm(bundle):
    settings = load_trained_settings(bundle / "models" / "model.pt", bundle)
    code = inference_code(targets(settings, (bundle / "configs" / "inference.yaml").read_text()))
    assert {
        "scripts/preprocessing/transforms.py",
        "scripts/reading/dicom.py",
        "scripts/evaluation/predictions.py",
    } <= set(code)
    for name, source in code.items():
        for node in ast.walk(ast.parse(source)):
            modules = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else modules
            for module in modules:
                first = module.split(".")[0]
                if first == "scripts":
                    path = module.replace(".", "/")
                    assert {f"{path}.py", f"{path}/__init__.py"} & set(code), f"{name}: {module}"
                else:
                    assert first in {*sys.stdlib_module_names, *THERE, *FOR_VOLUMES}, f"{name}: {module}"


def test_code_for_training_stays_behind():
    code = inference_code(["dwskd_monai.evaluation.inferers.StudyInferer"])
    needed = ("__init__", "aggregation", "inferers", "studies")
    names = ("__init__", "lazy", "telemetry", *(f"evaluation/{name}" for name in needed))
    assert set(code) == {f"scripts/{name}.py" for name in names}
    assert "from scripts.evaluation.aggregation import Aggregation" in code["scripts/evaluation/inferers.py"]


def test_an_unknown_target_is_named():
    with pytest.raises(ValueError, match=r"dwskd_monai\.nothing\.Here: no module of dwskd_monai defines it"):
        inference_code(["dwskd_monai.nothing.Here"])
