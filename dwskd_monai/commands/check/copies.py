"""Pairs of images that show the same, and what is wrong with each pair."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from dwskd_monai.commands.check.facts import Facts
from dwskd_monai.commands.check.findings import Findings
from dwskd_monai.commands.check.listing import UNLABELED, ListedImage
from dwskd_monai.data.groups import groups_of
from dwskd_monai.data.near_copies import near_copies

_KIND = "near copies"
_NEVER_TRAINED = ("validation", "test")


@dataclass(frozen=True)
class Pair:
    """Two images that show the same.

    Args:
        first, second: the images.
        similarity: see :class:`~dwskd_monai.data.near_copies.NearCopy`.
        change: how the second lies; empty if it lies like the first.
        problem: a row of ``PROBLEMS``; empty if they are in one split, with one label.
    """

    first: ListedImage
    second: ListedImage
    similarity: float
    change: str
    problem: str = ""

    @property
    def shown(self) -> str:
        """One line."""
        what = f"{self.change}, " if self.change else ""
        return f"{_named(self.first)} and {_named(self.second)} ({what}{self.similarity:.3f})"


LABELS, SPLITS, UNSEEN = "labels", "splits", "unseen"
PROBLEMS = {
    LABELS: "have two labels: one of them is wrong, and either teaches the network the opposite of the other",
    SPLITS: "are in two splits: what is measured there is what the network remembers; remove one of each two, or give "
    "both one patient",
    UNSEEN: "are unlabeled images that show a validation or test image; a training must not see them, so remove them",
}


def find_pairs(images: Sequence[ListedImage], facts: Sequence[Facts]) -> list[Pair]:
    """All pairs of images that show the same, the worst problems first."""
    pairs = []
    for copy in near_copies(np.stack([one.thumbnail for one in facts])):
        pair = Pair(images[copy.first], images[copy.second], copy.similarity, copy.change)
        pairs.append(replace(pair, problem=_problem(pair)))
    order = [*PROBLEMS, ""]
    return sorted(pairs, key=lambda pair: order.index(pair.problem))


def report_pairs(pairs: Sequence[Pair], findings: Findings) -> None:
    """Make findings of pairs: a warning for each kind of problem, a note for those without one."""
    for problem, text in PROBLEMS.items():
        lines = [pair.shown for pair in pairs if pair.problem == problem]
        if lines:
            findings.warn(_KIND, f"{_count(lines)} that show the same picture {text}", lines)
    lines = [pair.shown for pair in pairs if not pair.problem]
    if lines:
        findings.note(_KIND, f"{_count(lines)} show the same picture, in one split and with one label", lines)


def patients_with_copies(images: Sequence[ListedImage], pairs: Sequence[Pair]) -> list[str]:
    """A name for each labeled image, equal for those of one patient, study or series, or that show the same."""
    ties: dict[str, tuple[str, ...]] = {}
    for number, pair in enumerate(pairs):
        for image in (pair.first, pair.second):
            ties[image.path] = (*ties.get(image.path, ()), f"pair {number}")
    known = [(image.labeled, ties.get(image.path, ())) for image in images]
    tied = [replace(labeled, ties=(*labeled.ties, *more)) for labeled, more in known if labeled is not None]
    return groups_of(tied, with_copies=True)


def _problem(pair: Pair) -> str:
    parts = {pair.first.part, pair.second.part}
    if UNLABELED in parts:
        return UNSEEN if parts.intersection(_NEVER_TRAINED) else ""
    if pair.first.label != pair.second.label:
        return LABELS
    return SPLITS if len(parts) > 1 else ""


def _named(image: ListedImage) -> str:
    return f"{image.name} [{image.part}]"


def _count(lines: Sequence[str]) -> str:
    return f"{len(lines)} pair{'s' if len(lines) > 1 else ''} of images"
