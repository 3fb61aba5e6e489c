"""Labeled studies that are probably mislabeled, judged by networks that were not trained on them."""

from __future__ import annotations

import csv
import logging
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from monai.utils.enums import CommonKeys

from dwskd_monai.commands.suggest.audit import Audit, AuditedStudy
from dwskd_monai.commands.suggest.judges import Judges
from dwskd_monai.commands.suggest.judging import JudgedStudy, judge
from dwskd_monai.commands.suggest.label_issues import require_cleanlab
from dwskd_monai.commands.suggest.sheet import Picture, draw_sheet
from dwskd_monai.commands.suggest.unseen import Divided, TrainingImages, divide, find_training_images
from dwskd_monai.data.items import study_of
from dwskd_monai.files import CSV, replacing, write_json

_NAME = "audit"
_MORE_FOLDS = "train bundles with other folds (--fold 1, --fold 2, …) and give all of them: suggest B0,B1,B2 --audit"
_OF_ONE_BUNDLE = ("ckpt_dir", "checkpoint", "training_state")
_logger = logging.getLogger(__name__)


def write_audit(bundles: str, dataset_dir: str | None, out: str | None, settings: Mapping[str, Any]) -> None:
    """Find labels that are probably wrong and write them; arguments as of the command.

    Raises:
        FileNotFoundError, ValueError: if a bundle or the images are not what is expected, the bundles have different
            classes or the same weights, images of a training are not there, all networks were trained on all studies,
            or the other studies have one label.
        RefusedImagesError: if images were refused, after all is written.
    """
    require_cleanlab()
    all_judges = _opened([bundles] if Path(bundles).is_dir() else bundles.split(","), settings)
    first = all_judges[0]
    folder = first.output_folder(out, _NAME)
    refused = first.begin(folder, _NAME)
    source = str(first.setting("dataset_dir", "train")) if dataset_dir is None else dataset_dir
    items = first.labeled_items(source, refused)
    training = [find_training_images(judges, items, source) for judges in all_judges]
    divided = [divide(judges, images, items, refused) for judges, images in zip(all_judges, training, strict=True)]
    labels = {study_of(item): int(item[CommonKeys.LABEL]) for one in divided for item in one.unseen.data}
    not_audited = sorted(set().union(*(one.seen for one in divided)) - labels.keys())
    if len(set(labels.values())) < 2:
        refused.keep()
        raise _nothing_to_compare(labels, not_audited, source, first.class_names)
    audit = Audit(_audited(all_judges, divided, labels), not_audited, first.class_names)
    _write_rows(folder / f"{_NAME}.csv", audit)
    origin = _origin(all_judges, training, audit)
    write_json(folder / f"{_NAME}.json", {**origin, "refused_images": refused.count()})
    if audit.doubtful:
        _draw(folder / f"{_NAME}.png", audit)
    _say(all_judges, training, audit, folder)
    refused.finish()


def _opened(folders: Sequence[str], settings: Mapping[str, Any]) -> list[Judges]:
    """The bundles; refused are those that cannot judge together."""
    given = [name for name in _OF_ONE_BUNDLE if name in settings]
    if len(folders) > 1 and given:
        raise ValueError(
            f"{', '.join(given)}: expected one bundle, got {len(folders)}; leave it out, so that each bundle judges by "
            "its own networks"
        )
    all_judges = [Judges(folder, settings) for folder in folders]
    first = all_judges[0]
    of_weights: dict[str | None, Path] = {}
    for judges in all_judges:
        if judges.class_names != first.class_names:
            raise ValueError(
                f"bundle: {judges.bundle.folder} has the classes {', '.join(judges.class_names)}, but "
                f"{first.bundle.folder} has {', '.join(first.class_names)}; give bundles of one task"
            )
        other = of_weights.setdefault(judges.trained.settings.sha256, judges.weights)
        if other is not judges.weights:
            raise ValueError(
                f"bundle: {judges.weights} has the same weights as {other}, which would count twice; give each bundle "
                "once"
            )
    return all_judges


def _nothing_to_compare(
    labels: Mapping[str, int], not_audited: Sequence[str], source: str, class_names: Sequence[str]
) -> ValueError:
    if not labels:
        return ValueError(
            f"audit: each network was trained on all {len(not_audited)} studies of {source}, or on copies of them, and "
            f"remembers their labels; {_MORE_FOLDS}"
        )
    (label,) = set(labels.values())
    return ValueError(
        f"audit: all {len(labels)} studies of {source} that a network was not trained on are labeled "
        f"{class_names[label]}; labels of two classes or more are needed to find wrong ones; {_MORE_FOLDS}"
    )


def _audited(all_judges: Sequence[Judges], divided: Sequence[Divided], labels: Mapping[str, int]) -> list[AuditedStudy]:
    judged: dict[str, list[JudgedStudy]] = defaultdict(list)
    for judges, studies in zip(all_judges, divided, strict=True):
        if not studies.unseen.data:
            _logger.warning("%s judges no study: it was trained on all that can be used", judges.weights)
            continue
        for study in judge(judges, studies.unseen):
            judged[study.name].append(study)
    return [AuditedStudy(of_study, labels[name]) for name, of_study in judged.items()]


def _write_rows(path: Path, audit: Audit) -> None:
    columns = ["rank", "study", "image", "slice", "slices", "label", "suggested", "self_confidence", "networks"]
    class_names = audit.class_names
    with replacing(path) as temporary, temporary.open("w", **CSV) as file:
        writer = csv.writer(file)
        writer.writerow([*columns, *class_names])
        for number, study in enumerate(audit.doubtful, 1):
            one = study.judged[0]
            probabilities = [f"{value:.6f}" for value in study.probabilities]
            writer.writerow([
                number, one.name, one.image_of(study.slice), one.index_in_image(study.slice), len(one.slices),
                class_names[study.label], class_names[study.suggested], probabilities[study.label], study.networks,
                *probabilities,
            ])  # fmt: skip


def _draw(path: Path, audit: Audit) -> None:
    class_names = audit.class_names
    pictures = []
    for number, study in enumerate(audit.doubtful, 1):
        one = study.judged[0]
        lines = [
            f"{number}. {Path(one.image_of(study.slice)).name}",
            f"label: {class_names[study.label]} ({study.probabilities[study.label]:.2f})",
            f"suggested: {class_names[study.suggested]} ({study.probabilities[study.suggested]:.2f})",
        ]
        pictures.append(Picture(one.picture_of(study.slice), lines))
    draw_sheet(path, pictures, "studies that are probably mislabeled")


def _origin(all_judges: Sequence[Judges], training: Sequence[TrainingImages], audit: Audit) -> dict[str, Any]:
    """Which networks judged, which studies, and which not."""
    return {
        "weights_sha256": [judges.trained.settings.sha256 for judges in all_judges],
        "students": [len(judges.committee.students) for judges in all_judges],
        "training_state_epoch": [judges.committee.epoch for judges in all_judges],
        "training_images": [images.count for images in training],
        "training_images_found": [images.found for images in training],
        "classes": audit.class_names,
        "classes_without_labels": audit.classes_without_labels,
        "predicted_share": audit.predicted_share,
        "doubtful": len(audit.doubtful),
        "audited": [study.judged[0].name for study in audit.studies],
        "not_audited": audit.not_audited,
    }


def _say(all_judges: Sequence[Judges], training: Sequence[TrainingImages], audit: Audit, folder: Path) -> None:
    sys.stdout.write(f"{len(audit.studies)} studies audited by networks that were not trained on them\n")
    for judges, images in zip(all_judges, training, strict=True):
        if images.found < images.count:
            sys.stdout.write(
                f"only {images.found} of the {images.count} images that {judges.weights} was trained on were found; "
                "if the others were audited in other files, it remembers their labels\n"
            )
    if audit.not_audited:
        sys.stdout.write(
            f"{len(audit.not_audited)} not audited, because all networks were trained on them, or on copies of them; "
            f"{_MORE_FOLDS}; {folder / f'{_NAME}.json'} lists both\n"
        )
    if audit.classes_without_labels:
        names = ", ".join(audit.classes_without_labels)
        sys.stdout.write(f"no audited study is labeled {names}, so mislabeled studies of {names} cannot be found\n")
    sys.stdout.write(
        f"the networks predict {audit.predicted_share:.0%} of the audited labels; the fewer, the more of their doubts "
        "are mistakes of their own\n"
    )
    sys.stdout.write(f"{len(audit.doubtful)} labels are probably wrong; see {folder / f'{_NAME}.csv'}\n")
