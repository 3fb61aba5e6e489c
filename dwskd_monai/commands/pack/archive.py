"""Writes a bundle into one file."""

from __future__ import annotations

import copy
import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dwskd_monai.bundle.settings_file import settings_beside
from dwskd_monai.bundle.trained import TrainedBundle
from dwskd_monai.commands.pack.configs import SAMPLE, packed_configs, targets
from dwskd_monai.commands.pack.sample import put_sample
from dwskd_monai.data.phantoms import make_phantom_of
from dwskd_monai.evaluation.cards.model_page import model_page
from dwskd_monai.evaluation.exported import has_evidence, weights_of
from dwskd_monai.files import replacing
from dwskd_monai.inference_code import inference_code

CHECKSUMS = "SHA256SUMS"
_DAY_ONE = (1980, 1, 1, 0, 0, 0)  # a fixed date, so that the same content gives the same bytes
_MODEL = "model.pt"
_EXPORTED = ("model.ts", "model.onnx", "model.pt2", "model_int8.onnx", "network.onnx")


def write_archive(trained: TrainedBundle, origin: Mapping[str, Any], sample: Path | None, out: Path) -> None:
    """Write one file: configs as YAML and JSON, networks, pages, license, a sample image, checksums.

    Args:
        trained: the bundle with its network.
        origin: content of ``provenance.json``.
        sample: an image to try the network on, a file or the folder of a series; None: a phantom.
        out: the zip file.

    Raises:
        FileNotFoundError: if there is no ``sample``.
        ValueError: if there is no phantom of the bundle's modality, or text is burned into the sample's pixels.
    """
    bundle = trained.bundle
    files = bundle.folder
    inference = (files / "configs" / "inference.yaml").read_text(encoding="utf-8")
    texts = {
        **packed_configs(bundle, trained.settings),
        **inference_code(targets(trained.settings, inference)),
        "configs/metadata.json": json.dumps(_metadata(trained, origin), indent=4) + "\n",
        "configs/logging.conf": (files / "configs" / "logging.conf").read_text(encoding="utf-8"),
        "docs/README.md": model_page((files / "docs" / "README.md").read_text(encoding="utf-8"), origin["metrics"]),
        "provenance.json": json.dumps(origin, indent=2) + "\n",
        "LICENSE": (files / "LICENSE").read_text(encoding="utf-8"),
    }
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / bundle.name
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        (folder / "models").mkdir()
        shutil.copyfile(trained.weights, folder / "models" / _MODEL)
        shutil.copyfile(settings_beside(trained.weights), settings_beside(folder / "models" / _MODEL))
        for network in _EXPORTED:
            if (trained.models / network).is_file():
                _refuse_stale(trained, trained.models / network)
                shutil.copyfile(trained.models / network, folder / "models" / network)
        _put_sample(folder / SAMPLE, sample, bundle.name)
        _write_checksums(folder)
        with replacing(out) as temporary:
            _zip(folder, temporary)


def _refuse_stale(trained: TrainedBundle, exported: Path) -> None:
    """Raise ValueError if a network was exported from other weights."""
    if weights_of(exported) != trained.settings.sha256:
        raise ValueError(
            f"{exported} was exported from other weights than {trained.weights}; export it again, or remove it"
        )
    if not has_evidence(exported, trained.settings.evidence):
        raise ValueError(
            f"{exported} was exported before the evidence of the bundle changed; export it again, or remove it"
        )


def _metadata(trained: TrainedBundle, origin: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata of the bundle, with the input size, versions and metrics of this network."""
    metadata = copy.deepcopy(trained.bundle.metadata)
    size = trained.settings["image_size"]
    metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] = [size, size]
    metadata["required_packages_version"]["dwskd_monai"] = f"{version('dwskd_monai')} (for training)"
    if origin["metrics"]:
        metadata["eval_metrics"] = origin["metrics"]["study"]["overall"]
    return metadata


def _put_sample(folder: Path, sample: Path | None, bundle: str) -> None:
    folder.mkdir()
    if sample is None:
        make_phantom_of(bundle, folder / "phantom", "give a study to try the network on: --sample FILE")
        return
    put_sample(sample, folder)


def _write_checksums(folder: Path) -> None:
    """Write the checksums in the format of ``sha256sum``, which can check them too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files
    ]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def _zip(folder: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), _DAY_ONE)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
