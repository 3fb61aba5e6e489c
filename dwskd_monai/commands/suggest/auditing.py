"""Labeled studies that are probably mislabeled, judged by networks that were not trained on them."""

from __future__ import annotations

import csv
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from monai.utils.enums import CommonKeys
from numpy.typing import NDArray

from dwskd_monai.commands.suggest.judges import Judges
from dwskd_monai.commands.suggest.judging import JudgedStudy, judge
from dwskd_monai.commands.suggest.label_issues import find_label_issues
from dwskd_monai.commands.suggest.sheet import Picture, draw_sheet
from dwskd_monai.data.evaluation_split import digests_of
from dwskd_monai.data.items import study_of
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.files import CSV, replacing, write_json

_NAME = "audit"
_MORE_FOLDS = "train bundles with other folds (--fold 1, --fold 2, …) and give all of them: suggest B0,B1,B2 --audit"
Item = Mapping[str, Any]


@dataclass(frozen=True)
class AuditedStudy:
    """A labeled study, and what networks say about it that were not trained on it.

    Args:
        judged: by each bundle that was not trained on it.
        label: index of the class that it was given.
    """

    judged: Sequence[JudgedStudy]
    label: int

    @property
    def networks(self) -> int:
        """How many networks judge it."""
        return sum(len(one.probabilities) for one in self.judged)

    @property
    def probabilities(self) -> NDArray[np.float64]:
        """The mean ``(K,)`` of all networks."""
        mean: NDArray[np.float64] = np.concatenate([one.probabilities for one in self.judged]).mean(0)
        return mean

    @property
    def suggested(self) -> int:
        """Index of the most likely class."""
        return int(self.probabilities.argmax())

    @property
    def slice(self) -> int:
        """Index of the slice that speaks most for the suggested class."""
        return int(self.judged[0].slices.mean(1)[:, self.suggested].argmax())


def write_audit(bundles: str, dataset_dir: str | None, out: str | None, settings: Mapping[str, Any]) -> None:
    """Find labels that are probably wrong and write them; arguments as of the command.

    Raises:
        FileNotFoundError, ValueError: if a bundle or the images are not what is expected, the bundles have different
            classes, or all networks were trained on all studies.
        RefusedImagesError: if images were refused, after all is written.
    """
    folders = [bundles] if Path(bundles).is_dir() else bundles.split(",")
    all_judges = [Judges(folder, settings) for folder in folders]
    _refuse_other_classes(all_judges)
    first = all_judges[0]
    out_folder = first.output_folder(out, _NAME)
    refused = first.refused_images(out_folder)
    source = str(first.setting("dataset_dir", "train")) if dataset_dir is None else dataset_dir
    items = first.labeled_items(source, refused)
    unseen = [_unseen(judges, items) for judges in all_judges]
    seen_by_all = _studies(items) - set().union(*map(_studies, unseen))
    if not any(unseen):
        raise ValueError(
            f"audit: each network was trained on all {len(seen_by_all)} studies of {source}, and remembers their "
            f"labels; {_MORE_FOLDS}"
        )
    audited = _audited(all_judges, unseen, refused)
    labels = np.array([study.label for study in audited])
    found = find_label_issues(labels, np.stack([study.probabilities for study in audited]), first.class_names)
    doubtful = [audited[place] for place in found]
    _write_rows(out_folder / f"{_NAME}.csv", doubtful, first.class_names)
    if doubtful:
        _draw(out_folder / f"{_NAME}.png", doubtful, first.class_names)
    write_json(out_folder / f"{_NAME}.json", _origin(all_judges, audited, doubtful, seen_by_all, refused))
    _say(audited, doubtful, seen_by_all, out_folder)
    refused.finish()


def _refuse_other_classes(all_judges: Sequence[Judges]) -> None:
    first = all_judges[0]
    for judges in all_judges[1:]:
        if judges.class_names != first.class_names:
            raise ValueError(
                f"bundle: {judges.bundle.folder} has the classes {', '.join(judges.class_names)}, but "
                f"{first.bundle.folder} has {', '.join(first.class_names)}; give bundles of one task"
            )


def _unseen(judges: Judges, items: Sequence[Item]) -> list[Item]:
    """The images of studies that the bundle's networks were not trained on, found by the contents of their images.

    A network that learned from an image without its label may judge the label.
    """
    trained = judges.trained.settings
    training, earlier = trained.images["training"], trained.images["earlier"]
    if not training or earlier is None:
        raise ValueError(
            f"audit: {trained.weights} does not record all images that it was trained on, so no label can be judged by "
            "it; train with the bundle, from networks whose settings are known"
        )
    trained_on = {*training, *earlier}
    digests = digests_of(items, judges.setting("cache_dir", "train"))
    seen = {study_of(item) for item, digest in zip(items, digests, strict=True) if digest in trained_on}
    return [item for item in items if study_of(item) not in seen]


def _studies(items: Sequence[Item]) -> set[str]:
    return {study_of(item) for item in items}


def _audited(
    all_judges: Sequence[Judges], unseen: Sequence[Sequence[Item]], refused: RefusedImages
) -> list[AuditedStudy]:
    judged: dict[str, list[JudgedStudy]] = defaultdict(list)
    labels: dict[str, int] = {}
    for judges, items in zip(all_judges, unseen, strict=True):
        if items:
            for study in judge(judges, judges.read(items, refused)):
                judged[study.name].append(study)
            labels |= {study_of(item): int(item[CommonKeys.LABEL]) for item in items}
    return [AuditedStudy(of_study, labels[name]) for name, of_study in judged.items()]


def _write_rows(path: Path, doubtful: Sequence[AuditedStudy], class_names: Sequence[str]) -> None:
    columns = ["rank", "study", "image", "slice", "slices", "label", "suggested", "self_confidence", "networks"]
    with replacing(path) as temporary, temporary.open("w", **CSV) as file:
        writer = csv.writer(file)
        writer.writerow([*columns, *class_names])
        for number, study in enumerate(doubtful, 1):
            one = study.judged[0]
            probabilities = [f"{value:.6f}" for value in study.probabilities]
            writer.writerow([
                number, one.name, one.image_of(study.slice), study.slice, len(one.slices), class_names[study.label],
                class_names[study.suggested], probabilities[study.label], study.networks, *probabilities,
            ])  # fmt: skip


def _draw(path: Path, doubtful: Sequence[AuditedStudy], class_names: Sequence[str]) -> None:
    pictures = []
    for number, study in enumerate(doubtful, 1):
        one = study.judged[0]
        lines = [
            f"{number}. {Path(one.image_of(study.slice)).name}",
            f"label: {class_names[study.label]} ({study.probabilities[study.label]:.2f})",
            f"suggested: {class_names[study.suggested]} ({study.probabilities[study.suggested]:.2f})",
        ]
        pictures.append(Picture(one.picture_of(study.slice), lines))
    draw_sheet(path, pictures, "studies that are probably mislabeled")


def _origin(
    all_judges: Sequence[Judges],
    audited: Sequence[AuditedStudy],
    doubtful: Sequence[AuditedStudy],
    seen_by_all: set[str],
    refused: RefusedImages,
) -> dict[str, Any]:
    """Which networks judged, which studies, and which not."""
    return {
        "weights_sha256": [judges.trained.settings.sha256 for judges in all_judges],
        "students": [len(judges.committee.students) for judges in all_judges],
        "classes": all_judges[0].class_names,
        "predicted_share": _predicted(audited),
        "doubtful": len(doubtful),
        "refused_images": refused.count(),
        "audited": [study.judged[0].name for study in audited],
        "not_audited": sorted(seen_by_all),
    }


def _predicted(audited: Sequence[AuditedStudy]) -> float:
    """The share of the labels that are the most likely class."""
    return sum(study.label == study.suggested for study in audited) / len(audited)


def _say(
    audited: Sequence[AuditedStudy], doubtful: Sequence[AuditedStudy], seen_by_all: set[str], folder: Path
) -> None:
    sys.stdout.write(f"{len(audited)} studies audited by networks that were not trained on them\n")
    if seen_by_all:
        sys.stdout.write(
            f"{len(seen_by_all)} not audited, because all networks were trained on them; {_MORE_FOLDS}; "
            f"{folder / f'{_NAME}.json'} lists both\n"
        )
    sys.stdout.write(
        f"the networks predict {_predicted(audited):.0%} of the audited labels; the fewer, the more of their doubts "
        "are mistakes of their own\n"
    )
    sys.stdout.write(f"{len(doubtful)} labels are probably wrong; see {folder / f'{_NAME}.csv'}\n")
