"""``suggest --audit`` with networks whose predictions and training images are known."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image
from torch import nn

from dwskd_monai.commands.suggest.label_issues import find_label_issues
from dwskd_monai.data.cache import digest_of
from tests.commands.suggest.runs import AUXILIARY, MAIN, NAMES, SECOND, audit, images

pytestmark = pytest.mark.slow  # a second for each command


def test_each_image_is_judged_by_the_networks_that_were_not_trained_on_it(
    bundles, labeled, predicted, tmp_path, capsys
):
    code, rows, content = audit(",".join(map(str, bundles)), tmp_path, "--dataset_dir", str(labeled))
    assert code == 0
    judges: dict[Path, list[nn.Module]] = {}
    for path in images(labeled):
        number = int(path.stem)
        of_image = [*([MAIN, AUXILIARY] if number % 4 == 0 else []), *([SECOND] if number < 8 else [])]
        if of_image:
            judges[path] = of_image
    assert {len(of_image) for of_image in judges.values()} == {1, 2, 3}
    assert set(content["audited"]) == set(map(str, judges))
    assert set(content["not_audited"]) == set(map(str, set(images(labeled)) - set(judges)))
    listed = [Path(name) for name in content["audited"]]
    probabilities = np.stack([np.mean([predicted(net, path) for net in judges[path]], axis=0) for path in listed])
    labels = np.array([NAMES.index(path.parent.name) for path in listed])
    expected = find_label_issues(labels, probabilities)
    assert expected, "else nothing is compared"
    for rank, (row, place) in enumerate(zip(rows, expected, strict=True), 1):
        path, mean = listed[place], probabilities[place]
        assert (row["rank"], row["study"], row["image"]) == (str(rank), str(path), str(path))
        assert (row["label"], row["suggested"]) == (path.parent.name, NAMES[int(mean.argmax())])
        assert (row["slice"], row["slices"], row["networks"]) == ("0", "1", str(len(judges[path])))
        assert float(row["self_confidence"]) == pytest.approx(mean[labels[place]], abs=2e-6)
        assert [float(row[name]) for name in NAMES] == pytest.approx(mean.tolist(), abs=2e-6)
    share = np.mean(probabilities.argmax(1) == labels)
    assert content["predicted_share"] == pytest.approx(share)
    said = capsys.readouterr().out
    assert f"the networks predict {share:.0%} of the audited labels" in said
    assert f"{len(judges)} studies audited by networks that were not trained on them" in said
    trained = "because all networks were trained on them, or on copies of them; train bundles with other folds"
    assert f"{24 - len(judges)} not audited, {trained}" in said
    with Image.open(tmp_path / "audit.png") as sheet:
        assert sheet.width == 1200


def test_one_bundle_judges_only_what_it_was_not_trained_on(bundles, labeled, tmp_path):
    _, _, content = audit(str(bundles[1]), tmp_path, "--dataset_dir", str(labeled))
    assert sorted(int(Path(name).stem) for name in content["audited"]) == list(range(8))
    assert (len(content["not_audited"]), content["students"]) == (16, [1])


def test_a_study_with_an_image_that_was_trained_on_is_not_audited(bundles, labeled, tmp_path):
    """Images 0 to 7 are new to the second bundle, and 9 is not."""
    rows = [
        f"{path},{path.parent.name},S{int(path.stem) % 3 if int(path.stem) in (0, 9) else path.stem}"
        for path in images(labeled)
    ]
    (tmp_path / "list.csv").write_text("\n".join(["image,label,study", *rows]))
    _, _, content = audit(str(bundles[1]), tmp_path / "out", "--dataset_dir", str(tmp_path / "list.csv"))
    assert sorted(content["audited"]) == [f"S{number}" for number in range(1, 8)]


def test_an_image_that_cannot_be_read_is_listed_and_the_others_are_audited(bundles, labeled, tmp_path, capsys):
    data = Path(shutil.copytree(labeled, tmp_path / "data"))
    (data / "covid19" / "broken.png").write_bytes(b"no picture")
    code, _, content = audit(str(bundles[1]), tmp_path / "out", "--dataset_dir", str(data))
    assert (code, content["refused_images"], len(content["audited"])) == (3, 1, 8)
    assert "broken.png" in (tmp_path / "out" / "refused.csv").read_text()
    assert "all others were used" in capsys.readouterr().err


def test_labels_without_a_doubt_make_an_empty_list_and_no_sheet(bundles, labeled, predicted, tmp_path, capsys):
    rows = [f"{path},{NAMES[int(predicted(SECOND, path).argmax())]}" for path in images(labeled)]
    (tmp_path / "list.csv").write_text("\n".join(["image,label", *rows]))
    code, rows, _ = audit(str(bundles[1]), tmp_path / "out", "--dataset_dir", str(tmp_path / "list.csv"))
    assert (code, rows) == (0, [])
    assert not (tmp_path / "out" / "audit.png").exists()
    assert "0 labels are probably wrong" in capsys.readouterr().out


def test_what_cannot_be_audited_is_said(bundles, labeled, tmp_path, capsys):
    first, second = map(str, bundles)
    trained = ["image,label", *(f"{path},{path.parent.name}" for path in images(labeled)[8:])]
    (tmp_path / "trained.csv").write_text("\n".join(trained))
    assert audit(second, tmp_path / "out", "--dataset_dir", str(tmp_path / "trained.csv"))[0] == 2
    said = capsys.readouterr().err
    assert "each network was trained on all 16 studies" in said
    assert "suggest B0,B1,B2 --audit" in said
    assert audit(first, tmp_path / "out")[0] == 2
    assert "dataset_dir: data/chest_xray does not exist" in capsys.readouterr().err
    assert audit(f"{first},{tmp_path}", tmp_path / "out", "--dataset_dir", str(labeled))[0] == 2
    assert f"bundle: {tmp_path} has no configs/metadata.json" in capsys.readouterr().err


def test_images_of_the_network_that_a_training_started_from_are_not_judged_by_it(bundles, labeled, tmp_path):
    started = Path(shutil.copytree(bundles[1], tmp_path / "started"))
    file = started / "models" / "model.yaml"
    content = yaml.safe_load(file.read_text())
    content["training"]["images"]["earlier"] = [digest_of(path) for path in images(labeled)[:5]]
    file.write_text(yaml.safe_dump(content))
    _, _, written = audit(str(started), tmp_path / "out", "--dataset_dir", str(labeled))
    assert sorted(Path(name).stem for name in written["audited"]) == ["5", "6", "7"]


def test_a_bundle_of_other_classes_or_of_unknown_training_images_is_refused(bundles, labeled, tmp_path, capsys):
    other = Path(shutil.copytree(bundles[1], tmp_path / "other"))
    file = other / "models" / "model.yaml"
    content = yaml.safe_load(file.read_text())
    content["training"]["images"] = {}
    file.write_text(yaml.safe_dump(content))
    assert audit(str(other), tmp_path / "out", "--dataset_dir", str(labeled))[0] == 2
    assert "model.pt does not record all images that it was trained on" in capsys.readouterr().err
    content["classes"] = ["a", "b", "c"]
    file.write_text(yaml.safe_dump(content))
    metadata = other / "configs" / "metadata.json"
    metadata.write_text(
        metadata.read_text().replace('"covid19"', '"a"').replace('"no_findings"', '"b"').replace('"pneumonia"', '"c"')
    )
    assert audit(f"{bundles[0]},{other}", tmp_path / "out", "--dataset_dir", str(labeled))[0] == 2
    assert "other has the classes a, b, c, but" in capsys.readouterr().err
