"""A bundle that was trained, packed, changed on its way, unpacked and run by MONAI."""

from __future__ import annotations

import csv
import hashlib
import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path
from types import SimpleNamespace

import monai.bundle
import numpy as np
import pytest
import torch
import yaml

import dwskd_monai
from dwskd_monai.cli import main
from dwskd_monai.commands.export.command import export
from dwskd_monai.commands.pack.command import pack
from dwskd_monai.commands.pack.unpack import unpack
from dwskd_monai.evaluation.novelty_fitting import fit_novelty
from tests.bundles.commands import SMALL_SETTINGS, run, save_network
from tests.conftest import BUNDLES, tiny_convnext
from tests.forks import Fork

pytestmark = pytest.mark.slow

METRICS = {
    "study": {
        "overall": {"accuracy": 0.5, "balanced_accuracy": 0.625, "macro_auc": 0.75, "macro_f1": 0.4375, "count": 8},
        "per_class": {"a": {"auc": None, "f1": 0.5, "sensitivity": 0.5, "specificity": 0.5, "count": 8}},
        "confusion": [[4, 4], [0, 0]],
    }
}


def sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def add_evidence(file: Path, class_names: list[str]) -> None:
    """What a training with enough validation images would have written."""
    evidence = {
        "aggregation": {"method": "mean", "k": 5},
        "temperature": {"value": 3.0, "n": 50},
        "operating_points": {"rule": "youden", "classes": {class_names[0]: {"threshold": 0.0}}},
        "prediction_sets": {"coverage": 0.9, "classes": {class_names[0]: {"threshold": 1.0}}},
    }
    described = np.random.default_rng(0).normal(100, 1, (100, 28))  # of images of another kind
    evidence["novelty"] = fit_novelty(described[:60], described[60:], np.arange(40), [None] * 40)
    file.write_text(yaml.safe_dump(yaml.safe_load(file.read_text()) | {"evidence": evidence}))


@pytest.fixture(scope="module", params=BUNDLES, ids=lambda path: path.name)
def packed(request, tmp_path_factory) -> tuple[Path, Path, Path]:
    """The bundle, its zip file and the folder of its network."""
    folder = tmp_path_factory.mktemp("packed")
    classes = json.loads((request.param / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]
    torch.manual_seed(0)
    network = tiny_convnext(num_classes=classes["pred"]["num_channels"])
    models = save_network(network, folder / "models", request.param, **SMALL_SETTINGS)
    add_evidence(models / "model.yaml", list(classes["pred"]["channel_def"].values()))
    (models / "training_state.pt").write_bytes(b"large, and of no use to others")
    (folder / "metrics.json").write_text(json.dumps(METRICS | {"weights_sha256": sha256(models / "model.pt")}))
    file = folder / "bundle.zip"
    pack(str(request.param), str(file), metrics=str(folder / "metrics.json"), ckpt_dir=str(models))
    return request.param, file, folder


of_one_bundle = pytest.mark.parametrize("packed", BUNDLES[:1], indirect=True, ids=lambda path: path.name)
NAME = BUNDLES[0].name


def alone(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run ``python -m monai.bundle …`` by Python without this package."""
    command = [sys.executable, "-m", "monai.bundle", *map(str, arguments)]
    out, err = cwd / "alone_out.txt", cwd / "alone_err.txt"
    with out.open("w") as printed, err.open("w") as errors:
        code = Fork(command, cwd=cwd, stdout=printed, stderr=errors, alone=True).wait()
    return subprocess.CompletedProcess(command, code, out.read_text(), err.read_text())


def scores(file: Path) -> list[str]:
    with file.open(newline="") as rows:
        return list(csv.reader(rows))[1][1:]


def test_it_predicts_alone_what_the_bundle_predicts(packed, tmp_path):
    bundle, file, folder = packed
    unpacked = unpack(file, tmp_path)
    assert unpacked == tmp_path / bundle.name
    sample = next((unpacked / "sample").iterdir())
    run(
        *("run", "--config_file", bundle / "configs" / "inference.yaml", "--dataset_dir", sample),
        *("--ckpt_dir", folder / "models", "--output_dir", tmp_path / "before"),
        cwd=tmp_path,
    )
    for suffix in ("json", "yaml") if bundle == BUNDLES[0] else ("json",):
        config = unpacked / "configs" / f"inference.{suffix}"
        result = alone("run", "--config_file", config, "--output_dir", tmp_path / suffix, cwd=tmp_path)
        assert result.returncode == 0, result.stderr[-3000:]
        assert scores(tmp_path / suffix / "predictions.csv") == scores(tmp_path / "before" / "predictions.csv")
        names = json.loads((unpacked / "configs" / "metadata.json").read_text())["network_data_format"]["outputs"]
        first, *others = names["pred"]["channel_def"].values()
        *_, reached, possible, unlike, novelty, note = scores(tmp_path / suffix / "predictions.csv")
        assert (reached, possible, unlike) == (first, "|".join(others), "true")
        assert note.startswith(f"unlike the training images: score {novelty}, limit ")


def test_monai_loads_it(packed, tmp_path):
    bundle, file, folder = packed
    unpack(file, tmp_path)
    weights = torch.load(folder / "models" / "model.pt", weights_only=True)
    for workflow in ("train", "inference"):
        with pytest.warns(UserWarning, match="Only proceed if this config is from a source you trust"):
            network = monai.bundle.load(bundle.name, bundle_dir=tmp_path, workflow_type=workflow, device="cpu")
        assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())


@of_one_bundle
def test_the_hub_takes_it_and_gives_it_back(packed, tmp_path, monkeypatch):
    """With a folder in place of the hub."""
    bundle, file, folder = packed
    hub = tmp_path / "hub"
    api = SimpleNamespace(
        create_repo=lambda repo_id, private, exist_ok: hub.mkdir(),
        upload_folder=lambda repo_id, folder_path: shutil.copytree(folder_path, hub / repo_id),
    )
    monkeypatch.setattr("huggingface_hub.HfApi", lambda token: api)
    monkeypatch.setattr(
        "huggingface_hub.snapshot_download",
        lambda repo_id, revision, local_dir: shutil.copytree(hub / repo_id, local_dir),
    )
    unpacked = unpack(file, tmp_path / "ours")
    monai.bundle.push_to_hf_hub("owner/chest", name=bundle.name, bundle_dir=str(tmp_path / "ours"))
    card = (hub / "owner" / "chest" / "README.md").read_text()
    assert card.startswith("---\ntags:\n- monai\n- medical\nlibrary_name: monai\nlicense: apache-2.0\n---")
    assert card.endswith((unpacked / "docs" / "README.md").read_text()), "with what was measured"
    with pytest.warns(UserWarning, match="Only proceed if this config is from a source you trust"):
        network = monai.bundle.load(
            bundle.name,
            bundle_dir=tmp_path / "theirs",
            source="huggingface_hub",
            repo="owner/chest",
            version=dwskd_monai.__version__,
            device="cpu",
        )
    weights = torch.load(folder / "models" / "model.pt", weights_only=True)
    assert all(torch.equal(value, weights[name]) for name, value in network.state_dict().items())
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=tmp_path / "theirs" / bundle.name, check=True)


@of_one_bundle
def test_training_says_what_it_needs(packed, tmp_path):
    _, file, _ = packed
    config = unpack(file, tmp_path) / "configs" / "train.json"
    result = alone("run", "training", "--config_file", config, cwd=tmp_path)
    assert result.returncode != 0
    assert f"training needs dwskd_monai {dwskd_monai.__version__}: pip install" in result.stderr


def test_it_says_where_it_comes_from(packed, tmp_path):
    bundle, file, folder = packed
    unpacked = unpack(file, tmp_path)
    origin = json.loads((unpacked / "provenance.json").read_text())
    assert origin["model_sha256"] == sha256(folder / "models" / "model.pt")
    assert origin["training"]["overrides"] == SMALL_SETTINGS
    assert origin["metrics"]["study"] == METRICS["study"]
    assert origin["packages"]["dwskd_monai"] == dwskd_monai.__version__
    page = (unpacked / "docs" / "README.md").read_text()
    assert "| balanced accuracy | 0.625 |" in page
    assert "| a | not defined | 0.500 | 0.500 | 0.500 | 8 |" in page
    assert [line for line in page.splitlines() if line.startswith("## ")] == [
        line for line in (bundle / "docs" / "README.md").read_text().splitlines() if line.startswith("## ")
    ]
    metadata = json.loads((unpacked / "configs" / "metadata.json").read_text())
    assert metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [32, 32]
    assert metadata["eval_metrics"]["balanced_accuracy"] == 0.625
    assert [path.name for path in sorted((unpacked / "models").iterdir())] == ["model.pt", "model.yaml"]


def test_the_same_content_gives_the_same_file(packed, tmp_path):
    bundle, file, folder = packed
    pack(str(bundle), str(tmp_path / "x.zip"), metrics=str(folder / "metrics.json"), ckpt_dir=str(folder / "models"))
    assert (tmp_path / "x.zip").read_bytes() == file.read_bytes()


def rewritten(file: Path, out: Path, change) -> Path:
    """The zip file with other content: ``change`` gets the files by name."""
    with zipfile.ZipFile(file) as archive:
        content = {name: archive.read(name) for name in archive.namelist()}
    change(content)
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in content.items():
            archive.writestr(name, data)
    return out


@of_one_bundle
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda files: files.update({f"{NAME}/LICENSE": b"mine"}),
            "LICENSE was changed after it was packed",
        ),
        (lambda files: files.pop(f"{NAME}/LICENSE"), "LICENSE is missing"),
        (lambda files: files.update({f"{NAME}/scripts/more.py": b""}), "scripts/more.py was added"),
        (lambda files: files.pop(f"{NAME}/SHA256SUMS"), "chest_xray_classification has no SHA256SUMS"),
        (lambda files: files.update({"../evil.py": b""}), "expected the folder of one bundle"),
        (lambda files: files.update({f"{NAME}/../evil.py": b""}), "expected the folder of one bundle"),
        (lambda files: files.clear(), "expected the folder of one bundle, got nothing"),
    ],
)
def test_a_file_that_was_changed_is_refused(packed, tmp_path, change, message):
    out = tmp_path / "out"
    with pytest.raises(ValueError, match=message):
        unpack(rewritten(packed[1], tmp_path / "changed.zip", change), out)
    assert list(out.iterdir()) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["changed.zip", "out"]


@of_one_bundle
def test_what_is_no_packed_bundle_or_is_there_already_is_named(packed, tmp_path, capsys):
    _, file, _ = packed
    (tmp_path / "x.zip").write_bytes(file.read_bytes()[:5000])
    with pytest.raises(ValueError, match="x.zip is not a zip file, or is damaged"):
        unpack(tmp_path / "x.zip", tmp_path)
    with pytest.raises(FileNotFoundError, match="nothing.zip does not exist"):
        unpack(tmp_path / "nothing.zip", tmp_path)
    main(["unpack", str(file), "--out", str(tmp_path / "a")])
    assert "all checksums are correct" in capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["unpack", str(file), "--out", str(tmp_path / "a")])
    assert "exists already; remove it, or give another folder" in capsys.readouterr().err


@of_one_bundle
def test_alone_it_refuses_what_the_bundle_refuses(packed, tmp_path):
    _, file, _ = packed
    unpacked = unpack(file, tmp_path)
    config = unpacked / "configs" / "inference.json"
    result = alone("run", "--config_file", config, "--datasetdir", "STUDIES", cwd=tmp_path)
    assert result.returncode == 2
    assert "datasetdir is not a setting of inference.json; did you mean dataset_dir" in result.stderr
    assert not list(unpacked.rglob("predictions.csv"))


@of_one_bundle
@pytest.mark.parametrize("damage", ["weights", "classes"])
def test_alone_it_refuses_weights_and_classes_of_another_training(packed, tmp_path, damage):
    _, file, _ = packed
    unpacked = unpack(file, tmp_path)
    metadata = unpacked / "configs" / "metadata.json"
    if damage == "weights":
        torch.save(tiny_convnext(ls_init_value=1.0).state_dict(), unpacked / "models" / "model.pt")
    else:
        metadata.write_text(metadata.read_text().replace("covid19", "influenza"))
    result = alone("run", "--config_file", unpacked / "configs" / "inference.json", cwd=tmp_path)
    assert result.returncode == 2
    assert {"weights": "settings of other weights", "classes": "now names influ"}[damage] in result.stderr


@of_one_bundle
def test_metrics_and_exported_files_of_other_weights_or_evidence_are_not_packed(packed, tmp_path):
    bundle, _, folder = packed
    metrics = tmp_path / "metrics.json"
    metrics.write_text(json.dumps(METRICS | {"weights_sha256": "0" * 64}))
    with pytest.raises(ValueError, match="metrics: these are of another network, whose weights have the digest 000"):
        pack(
            str(bundle),
            str(tmp_path / "x.zip"),
            metrics=str(tmp_path / "metrics.json"),
            ckpt_dir=str(folder / "models"),
        )
    models = save_network(tiny_convnext(), tmp_path / "models", bundle, **SMALL_SETTINGS)
    export(str(bundle), ckpt_dir=str(models))
    settings = models / "model.yaml"
    trained = settings.read_text()
    settings.write_text(yaml.safe_dump(yaml.safe_load(trained) | {"evidence": {"temperature": {"value": 2.0}}}))
    with pytest.raises(ValueError, match=r"model.onnx was exported before the evidence of the bundle changed; export"):
        pack(str(bundle), str(tmp_path / "x.zip"), ckpt_dir=str(models))
    settings.write_text(trained)
    save_network(tiny_convnext(ls_init_value=1.0), models, bundle, **SMALL_SETTINGS)
    with pytest.raises(ValueError, match=r"model.onnx was exported from other weights than .*; export it again"):
        pack(str(bundle), str(tmp_path / "x.zip"), ckpt_dir=str(models))
    assert not (tmp_path / "x.zip").exists()


@of_one_bundle
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"bundle": "nowhere"}, "nowhere has no configs/metadata.json; give the folder of a bundle"),
        ({"ckpt_dir": "nowhere"}, "model.pt does not exist; train the bundle first, or give the file: --checkpoint"),
        ({"metrics": "nowhere"}, "metrics: nowhere does not exist; evaluate.yaml writes metrics.json"),
        ({"sample": "nowhere"}, "sample: nowhere does not exist; give one study"),
        ({"network_def#dims": "[8,16,24,40]"}, r"network_def#dims: .*model.pt was trained with \[8, 16, 24, 32\], got"),
        ({"num_classes": "2"}, "num_classes: .*model.pt was trained with 3, got 2; leave num_classes out"),
        ({"studnet": "x"}, "studnet is not an option of pack, nor a setting of .*; did you mean student"),
    ],
)
def test_what_cannot_be_packed_is_named(packed, tmp_path, capsys, monkeypatch, changes, message):
    bundle, _, folder = packed
    monkeypatch.chdir(tmp_path)
    options = {"bundle": bundle, "ckpt_dir": folder / "models", "out": tmp_path / "x.zip"} | changes
    with pytest.raises(SystemExit):
        main(["pack", *(f"--{key}={value}" for key, value in options.items())])
    printed = capsys.readouterr().err
    assert re.search(message, printed), printed
    assert not (tmp_path / "x.zip").exists()
