"""What is wrong is said before the first epoch, with its name, and nothing is overwritten."""

from __future__ import annotations

import shutil
import warnings
from pathlib import Path

import monai.bundle
import pytest
import torch
from PIL import Image

from dwskd_monai.reading.slice_axis import SLICE_AXES
from tests.bundles.commands import SMALL, run
from tests.conftest import BUNDLE, tiny_convnext, tiny_vit

pytestmark = pytest.mark.slow

CONFIGS = BUNDLE / "configs"


def pairs(arguments: tuple[str, ...]) -> dict[str, object]:
    """Command line overrides as keyword arguments, with fire's values."""
    import fire.parser

    names = [name.removeprefix("--") for name in arguments[::2]]
    return dict(zip(names, map(fire.parser.DefaultParseValue, arguments[1::2])))


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A teacher that fits, a model of an earlier run, and a small folder of images."""
    torch.save(tiny_convnext((16, 32, 48, 64)).state_dict(), tmp_path / "teacher.pt")
    torch.save({"earlier": torch.ones(1)}, tmp_path / "model.pt")
    for split, count in (("train", 4), ("val", 2)):
        for index, name in enumerate(("covid19", "no_findings", "pneumonia")):
            folder = tmp_path / "data" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.effect_noise((40, 40), 20 + 20 * index).save(folder / f"{number}.png")
    return tmp_path


def train(workspace: Path, *configs: str, **changes: object) -> None:
    settings = pairs(SMALL) | {
        "dataset_dir": str(workspace / "data"),
        "teacher_weights": str(workspace / "teacher.pt"),
        "ckpt_dir": str(workspace),
        "output_dir": str(workspace / "eval"),
        "cache_dir": None,
        "device": torch.device("cpu"),
        "max_epochs": 2,
        "distillation_epochs": 1,
        "batch_size": 4,
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # MONAI's and torch's own; our modules' are tested elsewhere
        monai.bundle.run(
            run_id="run",
            config_file=[str(CONFIGS / f"{name}.yaml") for name in ("train", *configs)],
            **(settings | changes),
        )


def chain(error: BaseException | None) -> str:
    """The messages of an error and its causes."""
    messages = []
    while error is not None:
        messages.append(str(error))
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)
    return "\n".join(messages)


def names_in(workspace: Path) -> list[str]:
    """What was trained and what it was trained with; a copy of what was there before does no harm."""
    return sorted(path.name for path in workspace.iterdir() if path.name not in ("eval", "earlier", ".run.lock"))


def refused(workspace: Path, *configs: str, **changes: object) -> str:
    before = names_in(workspace)
    with pytest.raises(Exception) as caught:  # noqa: PT011  the message is what is tested
        train(workspace, *configs, **changes)
    assert list(torch.load(workspace / "model.pt", weights_only=True)) == ["earlier"], "nothing overwritten"
    assert names_in(workspace) == before
    return chain(caught.value)


def test_the_workspace_is_good(workspace, capsys):
    train(workspace, momentum=0.9)
    said = capsys.readouterr()
    assert "momentum has no effect with auxiliary: mutual; it needs auxiliary: ema" in said.out + said.err
    assert "stem.0.weight" in torch.load(workspace / "model.pt", weights_only=True)
    assert list(torch.load(workspace / "earlier" / "1" / "model.pt", weights_only=True)) == ["earlier"]


@pytest.mark.parametrize("auxiliary", ["mutual", "none"])
def test_a_last_batch_of_one_image_with_batch_norm_is_left_out_and_said(workspace, capsys, auxiliary):
    """12 images in batches of 11; at 32 pixels a ResNet has one value per channel, of which torch makes an error."""
    resnet = {
        "student": "resnet10t",
        "network_def": {
            "_target_": "timm.create_model",
            "model_name": "resnet10t",
            "channels": [8, 8, 16, 16],
            "in_chans": 1,
            "num_classes": 3,
        },
        "first_weights#_disabled_": True,
    }
    train(workspace, batch_size=11, auxiliary=auxiliary, **resnet)
    assert capsys.readouterr().err.count("one image (12 slices in batches of 11); each epoch leaves out one slice") == 1


def test_a_densenet_is_trained(workspace):
    densenet = {
        "student": "densenet121",
        "network_def#growth_rate": 4,
        "network_def#block_config": [1, 1, 1, 1],
        "network_def#dims": None,
        "network_def#depths": None,
        "first_weights#_disabled_": True,
    }
    train(workspace, **densenet)
    assert "features.conv0.weight" in torch.load(workspace / "model.pt", weights_only=True)


def test_dataset_dir_missing_or_empty(workspace):
    assert "nowhere does not exist" in refused(workspace, dataset_dir=str(workspace / "nowhere"))
    (workspace / "empty").mkdir()
    assert "empty has no labeled image" in refused(workspace, dataset_dir=str(workspace / "empty"))


def test_a_class_that_the_metadata_does_not_know(workspace):
    (workspace / "data" / "train" / "tuberculosis").mkdir()
    message = refused(workspace)
    assert (
        "class folder tuberculosis is not among the classes of the metadata: covid19, no_findings, pneumonia" in message
    )


def test_validation_images_of_one_class_alone(workspace):
    for name in ("covid19", "pneumonia"):
        shutil.rmtree(workspace / "data" / "val" / name)
    message = refused(workspace)
    assert "all of one class (covid19 0, no_findings 2, pneumonia 0), and cannot tell the best epoch" in message


def test_a_column_that_could_name_patients(workspace):
    rows = [f"{path},{path.parent.name},P" for path in sorted((workspace / "data").glob("*/*/*.png"))]
    (workspace / "list.csv").write_text("\n".join(["image,label,patients_no", *rows]))
    assert "unknown column 'patients_no'; expected image, label" in refused(
        workspace, dataset_dir=str(workspace / "list.csv")
    )


def test_a_class_without_a_training_image(workspace):
    shutil.rmtree(workspace / "data" / "train" / "covid19")
    assert "no training image of class covid19" in refused(workspace)


@pytest.mark.parametrize("num_workers", [0, 2])
@pytest.mark.parametrize("split", ["train", "val"])
def test_a_truncated_image_is_named_before_the_first_epoch(workspace, split, num_workers):
    path = workspace / "data" / split / "pneumonia" / "1.png"
    path.write_bytes(path.read_bytes()[:200])
    assert f"{path}: a damaged image file" in refused(workspace, num_workers=num_workers)


def test_each_broken_image_is_named_at_once(workspace):
    paths = [workspace / "data" / "train" / "pneumonia" / f"{number}.png" for number in (0, 2)]
    for path in paths:
        path.write_bytes(b"")
    message = refused(workspace)
    assert all(f"{path}: an empty file" in message for path in paths)


def test_a_teacher_of_another_family_or_narrower(workspace):
    torch.save(tiny_convnext((4, 8, 12, 16)).state_dict(), workspace / "teacher.pt")
    assert "wider than the teacher" in refused(workspace, **{"teacher_def#dims": [4, 8, 12, 16]})
    torch.save(tiny_vit(num_classes=0).state_dict(), workspace / "teacher.pt")
    vit = {"model_name": "vit_tiny_patch16_224", "embed_dim": 32, "num_heads": 2, "depth": 2, "img_size": 32}
    definition = {
        "_target_": "dwskd_monai.training.teachers.create_teacher",
        "weights": "@teacher_weights",
        "patch_size": 8,
    } | vit
    assert "must be of one family" in refused(workspace, teacher_def=definition)


def test_a_teacher_file_whose_keys_do_not_match(workspace):
    torch.save({"features.weight": torch.ones(2)}, workspace / "teacher.pt")
    message = refused(workspace)
    assert f"{workspace / 'teacher.pt'}: missing stem.0.weight, which a ConvNeXt has" in message
    assert "these are unknown: features.weight" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"auxiliary": "foo"},
            "auxiliary must be one of auto, ema, frozen, mutual, none, own_soft_labels, soft_labels, "
            "teacher_soft_labels; got 'foo'",
        ),
        ({"temperature": -1}, "temperature must be greater than 0, got -1"),
        ({"distillation_epochs": 9}, "distillation_epochs must be in [0, 2]; got 9"),
        ({"views": "both"}, "views must be one of same, two; got 'both'"),
        ({"elements": "best"}, "elements must be one of uniform, consecutive, random, importance, got 'best'"),
        ({"teacher": "convnext_huge"}, "timm knows no model 'convnext_huge'"),
        ({"resume": True}, "there is no training state"),
        ({"resume": "true"}, "there is no training state"),
        ({"complementary": "no"}, "complementary must be true or false; got 'no'"),
        ({"dicom_patients": "never"}, "dicom_patients must be true or false; got 'never'"),
        ({"keep_aspect": 2}, "keep_aspect must be true or false; got 2"),
        ({"slices_per_study": 0}, "slices_per_study must be 1 or more, got 0"),
        ({"slice_axis": "z"}, f"slice_axis must be one of {', '.join(SLICE_AXES)}; got 'z'"),
        ({"aggregate": "median"}, "aggregate must be one of mean, max, top_k; got 'median'"),
        ({"val_interval": 0}, "interval must be 1 or more epochs"),
        ({"auxiliary": "own_soft_labels", "label_epochs": 7}, "label_epochs"),
        ({"fold": 7}, "0 <= fold < folds"),
    ],
)
def test_wrong_values(workspace, changes, message):
    assert message in refused(workspace, **changes)


def test_multi_gpu_without_torchrun(workspace):
    assert "must be started by torchrun" in refused(workspace, "multi_gpu_train", backend="gloo", device={
        "_target_": "dwskd_monai.training.distributed.start_process_group", "backend": "@backend",
    })  # fmt: skip


def test_a_checkpoint_that_no_training_of_this_bundle_left(workspace):
    message = refused(workspace, "evaluate", split="validation")
    assert "model.pt has no trained settings" in message
    assert not (workspace / "eval").exists(), "no report"


def test_a_loss_that_becomes_nan_ends_with_an_error_and_keeps_the_best_model(workspace):
    arguments = {"teacher_weights": workspace / "teacher.pt", "dataset_dir": workspace / "data"} | {
        "ckpt_dir": workspace,
        "output_dir": workspace / "eval",
        "max_epochs": 4,
        "distillation_epochs": 0,
        "learning_rate": 1e30,
        "clip_grad_norm": "null",
    }
    options = [part for name, value in arguments.items() for part in (f"--{name}", str(value))]
    printed = run(
        *("run", "training", "--config_file", CONFIGS / "train.yaml", *options, *SMALL), cwd=workspace, expect=1
    )
    assert "loss became nan in epoch" in printed or "are not finite; not saved" in printed
    saved = torch.load(workspace / "model.pt", weights_only=True)
    assert all(torch.isfinite(value).all() for value in saved.values())


@pytest.mark.parametrize("key", ["output_dir", "ckpt_dir", "cache_dir"])
@pytest.mark.parametrize("below", [False, True])
def test_a_folder_that_cannot_be_written_to_is_named_with_its_setting(workspace, key, below):
    file = workspace / "teacher.pt"
    given = file / "a" / "b" if below else file
    where = f"is below {file}, a file" if below else "is a file"
    said = refused(workspace, **{key: str(given)})
    assert f"{key}: {given} {where}; give a folder that you can write to: --{key} DIR" in said
