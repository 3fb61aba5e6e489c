"""Write a bundle into one file."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
import zipfile
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from monai.bundle import ConfigParser

from dwskd_monai.bundle.trained import MODEL, Deployed, load_deployed
from dwskd_monai.commands.pack.configs import SAMPLE, packed_configs, targets
from dwskd_monai.commands.pack.inference_code import inference_code
from dwskd_monai.commands.pack.model_card import model_card
from dwskd_monai.commands.pack.provenance import provenance, read_metrics
from dwskd_monai.data.phantoms import make_phantom_of
from dwskd_monai.files import replacing

CHECKSUMS = "SHA256SUMS"
_DAY_ONE = (1980, 1, 1, 0, 0, 0)  # the same content gives the same bytes
_NETWORKS = (MODEL, "model.ts", "model.onnx", "model.pt2", "model_int8.onnx")


def pack(
    bundle: Path,
    out: Path | None = None,
    *,
    models: Path | None = None,
    metrics: Path | None = None,
    data_hash: str | None = None,
    sample: Path | None = None,
    overrides: Mapping[str, Any] | None = None,
) -> Path:
    """Write ``<name>_v<version>.zip``: configs as YAML and JSON, networks, pages, licence, a sample study, checksums.

    Args:
        bundle: folder of the bundle.
        out: the file; beside the bundle by default.
        models: folder of ``model.pt`` and what was exported from it; the bundle's ``models`` by default.
        metrics: ``metrics.json`` of an evaluation of this network.
        data_hash: of the images that it was trained on.
        sample: a study to be tried on, a file or the folder of a series; a phantom by default.
        overrides: ids of the configs, and values that the network was trained with.

    Returns:
        The file.

    Raises:
        FileNotFoundError: if there is no bundle, no ``model.pt``, or no ``metrics`` or ``sample``.
        ValueError: if ``model.pt`` does not fit the configs, or an override is unknown; the message names it.
    """
    overrides = {} if overrides is None else overrides
    deployed = load_deployed(bundle, models, overrides, "pack")
    models = deployed.models
    metadata = json.loads((bundle / "configs" / "metadata.json").read_text(encoding="utf-8"))
    origin = provenance(models / MODEL, overrides, None if metrics is None else read_metrics(metrics), data_hash)
    texts = {
        **packed_configs(bundle, overrides),
        **inference_code(targets((bundle / "configs" / "inference.yaml").read_text(encoding="utf-8"))),
        "configs/metadata.json": json.dumps(_metadata(metadata, deployed.inference, origin), indent=4) + "\n",
        "configs/logging.conf": (bundle / "configs" / "logging.conf").read_text(encoding="utf-8"),
        "docs/README.md": model_card((bundle / "docs" / "README.md").read_text(encoding="utf-8"), origin),
        "provenance.json": json.dumps(origin, indent=2) + "\n",
        "LICENSE": (bundle / "LICENSE").read_text(encoding="utf-8"),
    }
    out = bundle.parent / f"{bundle.name}_v{metadata['version']}.zip" if out is None else out
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / bundle.name
        for path, text in texts.items():
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            (folder / path).write_text(text, encoding="utf-8")
        (folder / "models").mkdir()
        for network in _NETWORKS:
            if (models / network).is_file():
                shutil.copyfile(models / network, folder / "models" / network)
        _put_sample(folder / SAMPLE, sample, deployed)
        _write_checksums(folder)
        with replacing(out) as temporary:
            _zip(folder, temporary)
    return out


def _metadata(metadata: dict[str, Any], inference: ConfigParser, origin: Mapping[str, Any]) -> dict[str, Any]:
    """The bundle's, with the input's size, the versions and metrics of this network."""
    size = inference["image_size"]
    metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] = [size, size]
    metadata["required_packages_version"]["dwskd_monai"] = f"{version('dwskd_monai')} (for training)"
    if origin["metrics"]:
        metadata["eval_metrics"] = origin["metrics"]["study"]["overall"]
    return metadata


def _put_sample(folder: Path, sample: Path | None, deployed: Deployed) -> None:
    folder.mkdir()
    if sample is None:
        make_phantom_of(deployed.bundle.name, folder / "phantom", "give a study to try the network on: --sample")
        return
    if not sample.exists():
        raise FileNotFoundError(f"sample: {sample} does not exist; give one study, a file or the folder of a series")
    (shutil.copytree if sample.is_dir() else shutil.copyfile)(sample, folder / sample.name)


def _write_checksums(folder: Path) -> None:
    """In the form of ``sha256sum``, which can check it too."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.relative_to(folder).as_posix()}\n" for path in files
    ]
    (folder / CHECKSUMS).write_text("".join(lines), encoding="utf-8")


def _zip(folder: Path, out: Path) -> None:
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(path for path in folder.rglob("*") if path.is_file()):
            entry = zipfile.ZipInfo(path.relative_to(folder.parent).as_posix(), _DAY_ONE)
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            with path.open("rb") as source, archive.open(entry, "w", force_zip64=True) as target:
                shutil.copyfileobj(source, target)
