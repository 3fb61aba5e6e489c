"""What MONAI's model zoo asks of a bundle, at the sizes that its configs have."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch
from monai.bundle import ckpt_export, onnx_export, verify_metadata, verify_net_in_out

from tests.bundles.commands import save_network
from tests.bundles.test_configs import each_bundle, parser

pytestmark = pytest.mark.slow

SCHEMA = Path(__file__).with_name("metadata_schema.json")
SCHEMA_SHA256 = "c839074a21155f19c27ef6c20659fcb98730e0770a3023813e2725b6522535ac"


def files(bundle: Path) -> dict[str, str]:
    return {
        "meta_file": str(bundle / "configs" / "metadata.json"),
        "config_file": str(bundle / "configs" / "inference.yaml"),
    }


@pytest.fixture
def checkpoint(bundle, tmp_path) -> tuple[torch.nn.Module, Path]:
    """The bundle's network, and the file of its weights."""
    network = parser(bundle, "train").get_parsed_content("network_def").eval()
    return network, save_network(network, tmp_path, bundle) / "model.pt"


@each_bundle
def test_the_folder_has_what_a_bundle_needs(bundle):
    for name in ("LICENSE", "docs/README.md", "models/README.md", "configs/logging.conf", "configs/train.yaml"):
        assert (bundle / name).stat().st_size > 50, name
    headings = re.findall(r"^#+ (.*)$", (bundle / "docs" / "README.md").read_text(), re.MULTILINE)
    wanted = ["Authors", "Tags", "Model Description", "Data", "Performance", "System Configuration", "Usage",
              "Limitations", "Citation"]  # fmt: skip
    assert [name for name in wanted if name not in headings] == []


@each_bundle
def test_the_metadata_follows_the_schema(bundle):
    verify_metadata(
        meta_file=files(bundle)["meta_file"], filepath=str(SCHEMA), hash_val=SCHEMA_SHA256, hash_type="sha256"
    )
    formats = json.loads(Path(files(bundle)["meta_file"]).read_text())["network_data_format"]
    assert next(iter(formats["inputs"])) == "image"
    assert formats["outputs"]["pred"]["num_channels"] == len(formats["outputs"]["pred"]["channel_def"])


@each_bundle
def test_the_network_has_the_inputs_and_outputs_of_its_metadata(bundle):
    verify_net_in_out("network_def", **files(bundle), device="cpu")


@each_bundle
def test_the_network_is_exported_to_torchscript(bundle, checkpoint, tmp_path):
    network, weights = checkpoint
    ckpt_export("network_def", filepath=str(tmp_path / "model.ts"), ckpt_file=str(weights), **files(bundle))
    image = torch.randn(2, network.stem[0].in_channels, 224, 224)
    with torch.no_grad():
        torch.testing.assert_close(torch.jit.load(tmp_path / "model.ts")(image), network(image), rtol=1e-4, atol=1e-5)


@each_bundle
def test_the_network_is_exported_to_onnx_by_monai(bundle, checkpoint, tmp_path):
    network, weights = checkpoint
    onnx_export("network_def", filepath=str(tmp_path / "model.onnx"), ckpt_file=str(weights), **files(bundle))
    image = torch.randn(1, network.stem[0].in_channels, 224, 224)
    session = onnxruntime.InferenceSession(tmp_path / "model.onnx")
    (result,) = session.run(None, {session.get_inputs()[0].name: image.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(result, network(image).numpy(), rtol=1e-3, atol=1e-4)
