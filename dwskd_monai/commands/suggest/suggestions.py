"""Studies to be labeled next, chosen and written."""

from __future__ import annotations

import logging
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from dwskd_monai.commands.suggest.candidates import Candidates, find_candidates
from dwskd_monai.commands.suggest.choice import choose
from dwskd_monai.commands.suggest.judges import Judges
from dwskd_monai.commands.suggest.judging import JudgedStudy, judge
from dwskd_monai.commands.suggest.known import read_known
from dwskd_monai.commands.suggest.scores import score
from dwskd_monai.commands.suggest.sheet import Picture, draw_sheet
from dwskd_monai.data.images import existing
from dwskd_monai.data.refused import RefusedImages
from dwskd_monai.files import GrowingCsv, write_json

_NAME = "suggestions"
_STUDENTS = ("main", "auxiliary")
_ALONE = ("deployed",)
_LAST_SEED = 2**32 - 1  # that numpy takes
_logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Suggestion:
    """A study that should be labeled.

    Args:
        study: what the networks say about it.
        score: see :func:`~dwskd_monai.commands.suggest.scores.score`.
        slice: index of the slice with the highest score, in the study.
    """

    study: JudgedStudy
    score: float
    slice: int

    @property
    def classes(self) -> list[int]:
        """The class that each student predicts."""
        return self.study.probabilities.argmax(1).tolist()

    @property
    def reason(self) -> str:
        """``disagreement`` if the students predict different classes, else ``uncertainty``."""
        return "disagreement" if len(set(self.classes)) > 1 else "uncertainty"


def write_suggestions(
    bundle: str,
    unlabeled_dir: str,
    dataset_dir: str | None,
    count: int,
    seed: int,
    out: str | None,
    settings: Mapping[str, Any],
) -> None:
    """Choose studies and write them; arguments as of the command.

    Raises:
        FileNotFoundError, ValueError: if the bundle, the images or an argument is not what is expected.
        RefusedImagesError: if images were refused, after all is written.
    """
    if not _is_whole(count) or count < 1:
        raise ValueError(f"count must be a whole number, 1 or more; got {count}")
    if not _is_whole(seed) or not 0 <= seed <= _LAST_SEED:
        raise ValueError(f"seed must be a whole number, 0 to {_LAST_SEED}; got {seed}")
    judges = Judges(bundle, settings)
    folder = judges.output_folder(out, _NAME)
    _refuse_among_images(unlabeled_dir, judges.bundle.folder, folder)
    refused = judges.begin(folder, _NAME)
    candidates = find_candidates(judges, unlabeled_dir, read_known(judges, dataset_dir, folder), refused)
    left_out = ", ".join(f"{number} {kind}" for kind, number in Counter(candidates.left_out.values()).items())
    if not candidates.dataset.data:
        refused.keep()
        raise ValueError(f"unlabeled_dir: {unlabeled_dir} has no study to suggest: all images are known ({left_out})")
    studies = judge(judges, candidates.dataset)
    suggestions = _chosen(studies, candidates, count, seed)
    _write_rows(folder / f"{_NAME}.csv", suggestions, judges.class_names)
    write_json(folder / f"{_NAME}.json", _origin(judges, candidates, studies, suggestions, seed, refused))
    _draw(folder / f"{_NAME}.png", suggestions, judges.class_names)
    if left_out:
        sys.stdout.write(f"images that are known, and not suggested: {left_out}\n")
    sys.stdout.write(
        f"{len(suggestions)} of {len(studies)} studies, by {_how(judges)}; see {folder / f'{_NAME}.csv'}\n"
    )
    unlike = _count_unlike(suggestions)
    if unlike:
        sys.stdout.write(
            f"unlike the training images (column unlike_training): {unlike} of them; label one only if the network "
            "is to know such images\n"
        )
    refused.finish()


def _refuse_among_images(unlabeled_dir: str, bundle: Path, folder: Path) -> None:
    images = existing(unlabeled_dir, "unlabeled_dir")
    for setting, place, remedy in (
        ("out", folder, "give a folder elsewhere: --out DIR"),
        ("bundle", bundle, "name a folder that has only images"),
    ):
        if place.resolve().is_relative_to(images.resolve()):
            raise ValueError(
                f"{setting}: {place} is in unlabeled_dir, {images}; pictures that commands write there would be "
                f"suggested; {remedy}"
            )


def _count_unlike(suggestions: Sequence[Suggestion]) -> int:
    return sum(suggestion.study.novelty.is_unlike for suggestion in suggestions)


def _is_whole(number: object) -> bool:
    return isinstance(number, int) and not isinstance(number, bool)


def _chosen(studies: Sequence[JudgedStudy], candidates: Candidates, count: int, seed: int) -> list[Suggestion]:
    scores = score(np.stack([study.probabilities for study in studies]))
    features = np.stack([study.features for study in studies])
    patients = [candidates.patients[study.name] for study in studies]
    places = choose(scores, features, patients, count, seed)
    if len(places) < count:
        _logger.warning(
            "count: %d studies were asked for; there are only %d of different patients that do not look the same",
            count, len(places),
        )  # fmt: skip
    return [
        Suggestion(studies[place], float(scores[place]), int(score(studies[place].slices).argmax())) for place in places
    ]


def _write_rows(path: Path, suggestions: Sequence[Suggestion], class_names: Sequence[str]) -> None:
    file = GrowingCsv(path)
    for number, suggestion in enumerate(suggestions, 1):
        study = suggestion.study
        names = _STUDENTS if len(suggestion.classes) > 1 else _ALONE
        row: dict[str, object] = {
            "rank": number,
            "study": study.name,
            "image": study.image_of(suggestion.slice),
            "slice": study.index_in_image(suggestion.slice),
            "slices": len(study.slices),
            "score": f"{suggestion.score:.6f}",
            "reason": suggestion.reason,
            **study.novelty.columns(),
            "predicted": class_names[int(study.deployed.argmax())],
        }
        row |= {name: class_names[index] for name, index in zip(names, suggestion.classes)}
        for name, probabilities in zip(names, study.probabilities, strict=True):
            row |= {f"{name}_{of_class}": f"{value:.6f}" for of_class, value in zip(class_names, probabilities)}
        file.write(row, number)
    file.finish()


def _draw(path: Path, suggestions: Sequence[Suggestion], class_names: Sequence[str]) -> None:
    pictures = []
    for number, suggestion in enumerate(suggestions, 1):
        classes = " / ".join(class_names[index] for index in dict.fromkeys(suggestion.classes))
        lines = [
            f"{number}. {Path(suggestion.study.image_of(suggestion.slice)).name}",
            classes,
            f"{suggestion.reason} {suggestion.score:.3f}",
            *(["unlike the training images"] if suggestion.study.novelty.is_unlike else []),
        ]
        pictures.append(Picture(suggestion.study.picture_of(suggestion.slice), lines))
    draw_sheet(path, pictures, "studies to label next")


def _how(judges: Judges) -> str:
    if len(judges.committee.students) > 1:
        return "disagreement of the two students"
    return "entropy of the deployed network, which judges alone"


def _origin(
    judges: Judges,
    candidates: Candidates,
    studies: Sequence[JudgedStudy],
    suggestions: Sequence[Suggestion],
    seed: int,
    refused: RefusedImages,
) -> dict[str, Any]:
    """Which networks chose, from what."""
    return {
        "weights_sha256": judges.trained.settings.sha256,
        "score": _how(judges),
        "students": len(judges.committee.students),
        "training_state_epoch": judges.committee.epoch,
        "classes": judges.class_names,
        "aggregation": asdict(judges.setting("aggregation")),
        "seed": seed,
        "studies": len(studies),
        "suggested": len(suggestions),
        "unlike_training": _count_unlike(suggestions),
        "refused_images": refused.count(),
        "left_out": dict(Counter(candidates.left_out.values())),
        "left_out_images": dict(candidates.left_out),
    }
