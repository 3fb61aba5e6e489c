"""The slice of a study that ``suggest`` names, in studies of several volumes."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from monai.transforms import Compose
from torch import Tensor, nn

from dwskd_monai.bundle import Bundle
from tests.commands.suggest.runs import AUXILIARY, MAIN, NAMES, SECOND, audit, images, suggest
from tests.conftest import BUNDLE

pytestmark = pytest.mark.slow  # a second for each command

ACCEPT = ("--accept", "['slices=any']")


def write_volume(path: Path, seed: int, slices: int) -> Path:
    """A volume whose slices look like no other one."""
    coarse = torch.as_tensor(np.random.default_rng(seed).integers(0, 255, (1, slices, 8, 8)), dtype=torch.float32)
    pixels = nn.functional.interpolate(coarse, 48, mode="bicubic")[0].permute(2, 1, 0).numpy()
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(pixels, np.diag([1.0, 1, 9, 1])), path)
    return path


@pytest.fixture
def volumes(tmp_path) -> list[Path]:
    """Of one study, with three and four slices."""
    paths = [write_volume(tmp_path / "volumes" / f"{count}.nii.gz", count, count) for count in (3, 4)]
    rows = [f"{path.name},S,covid19" for path in paths]
    (tmp_path / "volumes" / "study.csv").write_text("\n".join(["image,study,label", *rows]))
    return paths


@torch.no_grad()
def probabilities(net: nn.Module, volumes: list[Path], models: Path) -> Tensor:
    """``(S, K)`` of all slices, those of the first volume first."""
    settings = {"ckpt_dir": str(models), "accept": ["slices=any"]}
    transform = Compose(Bundle(BUNDLE, settings).parsed("study_transforms", "inference"))
    read = [torch.as_tensor(transform({"image": str(path)})["image"]).movedim(1, 0) for path in volumes]
    return net(torch.cat(read)).double().softmax(1)


def named(rows: list[dict[str, str]]) -> tuple[str, int]:
    (row,) = rows
    assert row["slices"] == "7"
    return row["image"], int(row["slice"])


def of_volumes(volumes: list[Path], number: int) -> tuple[str, int]:
    """The volume and the slice in it, of a slice of the study."""
    return (str(volumes[0]), number) if number < 3 else (str(volumes[1]), number - 3)


@pytest.mark.parametrize("swapped", [False, True])
def test_a_suggested_slice_is_counted_in_the_volume_that_is_named(both, volumes, swapped):
    """In one of two orders of the volumes, the slice is in the second one."""
    if swapped:
        study = volumes[0].with_name("study.csv")
        header, first, second = study.read_text().splitlines()
        study.write_text("\n".join([header, second, first]))
    main, auxiliary = (probabilities(net, volumes, both) for net in (MAIN, AUXILIARY))
    entropies = [-(p * p.log()).sum(1) for p in ((main + auxiliary) / 2, main, auxiliary)]
    most = int((entropies[0] - (entropies[1] + entropies[2]) / 2).argmax())
    _, rows = suggest(both, volumes[0].with_name("study.csv"), *ACCEPT)
    assert named(rows) == of_volumes(volumes, most)


def test_a_doubtful_slice_is_counted_in_the_image_that_is_named(bundles, labeled, predicted, tmp_path):
    """The images 0 to 7 are new to the second bundle; two of them are one study, with the least likely label."""
    judged = {path: predicted(SECOND, path) for path in images(labeled)}
    new = images(labeled)[:8]
    pairs = [(one, other) for one in new for other in new if judged[one].argmax() == judged[other].argmax()]
    less, more = next(pair for pair in pairs if judged[pair[0]].max() < judged[pair[1]].max())
    wrong = NAMES[int((judged[less] + judged[more]).argmin())]
    rows = [f"{less},{wrong},S", f"{more},{wrong},S"]
    rows += [f"{path},{NAMES[int(judged[path].argmax())]},{path.stem}" for path in judged if path not in (less, more)]
    (tmp_path / "list.csv").write_text("\n".join(["image,label,study", *rows]))
    _, listed, _ = audit(str(bundles[1]), tmp_path / "out", "--dataset_dir", str(tmp_path / "list.csv"))
    assert [(row["study"], row["image"], row["slice"]) for row in listed] == [("S", str(more), "0")]
