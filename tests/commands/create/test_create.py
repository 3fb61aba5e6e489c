"""A bundle for a task of one's own, made by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from monai.bundle import ConfigParser

from dwskd_monai.bundle import Bundle
from dwskd_monai.bundle.classes import in_order
from dwskd_monai.bundle.decisive import decisive_settings
from dwskd_monai.cli import main
from dwskd_monai.commands.create.create import MODALITIES
from tests.conftest import BUNDLES


@pytest.fixture
def data(tmp_path: Path) -> Path:
    for split in ("train", "val"):
        for name in ("benign", "malignant"):
            (tmp_path / "data" / split / name).mkdir(parents=True)
    return tmp_path / "data"


def create(folder: Path, **options: object) -> None:
    main(["create", str(folder), *(f"--{key}={value}" for key, value in options.items())])


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_our_bundles_are_made_by_this_command(bundle, tmp_path):
    folder = tmp_path / bundle.name
    create(folder, modality=bundle.name.removesuffix("_classification"), classes=",".join(Bundle(bundle).class_names))
    made = sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
    assert {Path("configs/metadata.json"), Path("configs/train.yaml"), Path("docs/README.md")} <= set(made)
    for name in made:
        assert (folder / name).read_text() == (bundle / name).read_text(), name


@pytest.mark.parametrize("modality", MODALITIES)
def test_classes_and_images_are_those_of_the_data(modality, data, tmp_path, capsys):
    create(tmp_path / "own", data=data, modality=modality)
    bundle = Bundle(tmp_path / "own")
    assert bundle.class_names == ["benign", "malignant"]
    assert bundle.metadata["network_data_format"]["outputs"]["pred"]["num_channels"] == 2
    train = bundle.config("train")
    assert train["dataset_dir"] == str(data)
    assert decisive_settings(train)["network_def"]["num_classes"] == 2
    channels = bundle.metadata["network_data_format"]["inputs"]["image"]["num_channels"]
    assert train["in_chans"] == channels == len(train.get("windows", [1]))
    train.get_parsed_content("study_transforms")
    page = (tmp_path / "own" / "docs" / "README.md").read_text()
    assert "`benign`, `malignant`" in page
    assert "{{" not in page
    printed = capsys.readouterr().out
    assert printed.splitlines()[2:] == [
        f"dwskd train {tmp_path}/own",
        f"dwskd evaluate {tmp_path}/own --split validation",
        f"dwskd predict {tmp_path}/own STUDIES",
    ]


@pytest.mark.slow
def test_classes_have_the_order_that_is_given_and_the_pair_is_set(data, tmp_path):
    pair = {"teacher": "mobilenetv3_small_100", "student": "mobilenetv3_small_050"}
    create(tmp_path / "own", data=data, classes="malignant,benign", **pair)
    bundle = Bundle(tmp_path / "own")
    assert bundle.class_names == ["malignant", "benign"]
    train = bundle.config("train")
    assert {key: train[key] for key in pair} == pair
    text = (tmp_path / "own" / "configs" / "train.yaml").read_text()
    assert "student: mobilenetv3_small_050 # timm name of the deployed network" in " ".join(text.split())


@pytest.mark.slow
def test_the_image_size_is_set_in_the_config_and_in_the_metadata(data, tmp_path):
    create(tmp_path / "own", data=data, teacher="crossvit_15_240", student="crossvit_9_240", image_size=240)
    bundle = Bundle(tmp_path / "own")
    assert bundle.config("train")["image_size"] == 240
    assert bundle.metadata["network_data_format"]["inputs"]["image"]["spatial_shape"] == [240, 240]


def test_a_name_with_quotes_is_a_name(tmp_path):
    create(tmp_path / "own", classes='a "b",ö')
    assert Bundle(tmp_path / "own").class_names == ['a "b"', "ö"]


@pytest.mark.parametrize(
    "names", ["true,false", "True,FALSE", "null,None", "0,1", "01,2", "1.0,1e3", "yes,no", "it's,(a)"], ids=str
)
def test_a_name_that_looks_like_a_value_stays_text(names, tmp_path):
    create(tmp_path / "own", classes=names)
    bundle = Bundle(tmp_path / "own")
    assert bundle.class_names == names.split(",")
    assert in_order(bundle.config("train").get_parsed_content("class_names")) == names.split(",")
    main(["create", str(tmp_path / "as_two_words"), "--classes", names])
    assert Bundle(tmp_path / "as_two_words").class_names == names.split(",")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"modality": "us"}, "modality must be one of picture, ct, mr, chest_xray, lung_ct, brain_mri; got 'us'"),
        ({"data": None}, "classes: name them, --classes a,b, or give labeled images that do: --data DIR"),
        ({"data": "nowhere"}, "nowhere does not exist"),
        ({"data": None, "classes": "true"}, "classes: expected two or more different names, a,b; got 'true'"),
        ({"data": None, "classes": "benign,grade#a"}, "so no class can be named grade#a; rename it, and its folder"),
        ({"classes": "benign"}, "classes: expected two or more different names, a,b; got 'benign'"),
        ({"classes": "benign,benign"}, "classes: expected two or more different names, a,b; got 'benign, benign'"),
        ({"classes": "benign,other"}, "data has malignant too; name all of its classes"),
        ({"student": "convnext_atom"}, "timm knows no model 'convnext_atom'; it has for instance convnext_atto"),
        ({"teacher": "mobilenetv3_small_050", "student": "mobilenetv3_small_100"}, "wider"),
        ({"teacher": "mobilenetv3_small_100", "student": "convnext_atto"}, "of one family"),
        (
            {"teacher": "crossvit_15_240", "student": "crossvit_9_240"},
            "image_size: crossvit_9_240 cannot take 224",
        ),
        ({"image_size": 0}, "image_size: expected a whole number of pixels, 1 or more; got 0"),
        ({"image_size": "large"}, "image_size: expected a whole number of pixels, 1 or more; got 'large'"),
    ],
)
def test_what_cannot_be_made_is_named_and_leaves_nothing(data, tmp_path, capsys, options, message):
    given = {key: value for key, value in ({"data": data} | options).items() if value is not None}
    with pytest.raises(SystemExit) as stopped:
        create(tmp_path / "own", **given)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "own").exists()


def test_a_folder_that_is_there_is_left_as_it_is(data, tmp_path, capsys):
    with pytest.raises(SystemExit):
        create(data, data=data)
    assert "data exists already; give a new folder, or remove it" in capsys.readouterr().err
    assert (data / "train" / "benign").is_dir()


def test_the_metadata_of_each_modality_is_whole(tmp_path):
    for modality in MODALITIES:
        create(tmp_path / modality, modality=modality, classes="a,b")
        metadata = json.loads((tmp_path / modality / "configs" / "metadata.json").read_text())
        ours = json.loads((BUNDLES[0] / "configs" / "metadata.json").read_text())
        assert metadata.keys() == ours.keys()
        parser = ConfigParser.load_config_file(str(tmp_path / modality / "configs" / "inference.yaml"))
        assert "trained" in parser
