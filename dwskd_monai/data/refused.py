"""The list of images that are refused while the others are used; several processes share it."""

from __future__ import annotations

import csv
import io
import logging
import os
import sys
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from dwskd_monai.class_order import ClassNames, in_order
from dwskd_monai.data.text import listed_lines
from dwskd_monai.files import partial_of, replacing
from dwskd_monai.reading.refusal import ASIDE, RefusedImage

COLUMNS = ("path", "reason", "kind", "series", "instance")
IMAGE = "image"  # MONAI's CommonKeys.IMAGE; MONAI is not imported, so that a program without it lists the same
_RANK = "rank"
_logger = logging.getLogger(__name__)


class RefusedImagesError(ValueError):
    """Images were refused, and all others were used; the exit code of a command is then 3."""

    exit_code = 3


class Refusing(Protocol):
    """A dataset that leaves out images."""

    refused_count: int

    def contents(self) -> Sequence[tuple[str, int | None]]:
        """The digest of the content of each image that is used, and its label."""


class RefusedImages:
    """The list of images that were refused: one row each in a CSV file, written while a run goes on.

    Columns: ``path``, ``reason``, ``kind`` (one of :data:`~dwskd_monai.reading.refusal.KINDS`), and for DICOM
    ``series`` and ``instance`` (SeriesInstanceUID and SOPInstanceUID). Files that are not meant as images are listed
    too, with the kind ``aside``. Worker processes add to the same file, ``<stem>.partial.csv`` until :meth:`finish`.

    Args:
        path: of the file.
        strict: raise at the first image that is refused.
    """

    def __init__(self, path: str | Path, strict: bool = False) -> None:
        self.path = Path(path)
        self.strict = strict
        self._partial = partial_of(self.path)
        self._begun = False

    def begin(self) -> None:
        """Remove what an interrupted run listed. Further calls, and calls in a worker process, change nothing.

        A dataset calls this before it reads. A list that is only made, as a part of a config, does not touch any file.
        """
        if not self._begun and _is_first():
            self._partial.unlink(missing_ok=True)
        self._begun = True

    def add(self, refusal: BaseException, item: Mapping[str, Any], rank: int) -> None:
        """List an image.

        Args:
            refusal: why it is refused.
            item: an item of a datalist, with its ``image``.
            rank: the item's position in the datalist; in the end, rows are in this order.

        Raises:
            RefusedImage: the refusal itself, if the list is strict.
        """
        error = as_refusal(refusal, item)
        if self.strict:
            raise error from refusal.__cause__
        self._write(error, rank)

    def add_companions(self, study: str, items: Iterable[tuple[int, Mapping[str, Any]]]) -> None:
        """List the other images of a study with a refused image: otherwise only a part of the study would be judged.

        Args:
            study: its name.
            items: with their positions in the datalist.
        """
        for rank, item in items:
            reason = f"another image of its study ({study}) is refused; fix that one"
            self._write(RefusedImage(item[IMAGE], reason, "study"), rank)

    def list_others(self, files: Iterable[RefusedImage]) -> None:
        """List files of a folder that are not used as images, after the images.

        Raises:
            RefusedImage: for the first file that is not simply set aside, if the list is strict.
        """
        self.begin()
        for error in files:
            if self.strict and error.kind != ASIDE:
                raise error
            self._write(error, sys.maxsize)

    def rows(self) -> list[dict[str, str]]:
        """The rows so far: refused images in the order of their datalist, then files that were set aside."""
        if not self._partial.is_file():
            return []
        with self._partial.open(newline="", encoding="utf-8") as file:
            rows = list(csv.DictReader(file, (_RANK, *COLUMNS)))
        rows.sort(key=lambda row: (row["kind"] == ASIDE, int(row[_RANK])))
        kept = {(row["path"], row["reason"]): {name: row[name] for name in COLUMNS} for row in rows}  # of two splits
        return list(kept.values())

    def count(self) -> int:
        """How many images are refused so far."""
        return len(self.rows_of_images())

    def rows_of_images(self) -> list[dict[str, str]]:
        """The rows of refused images, without files that were set aside."""
        return [row for row in self.rows() if row["kind"] != ASIDE]

    def finish(self) -> None:
        """Give the file its final name, and say how many images were refused.

        Raises:
            RefusedImagesError: if images were refused; files that were set aside are only logged.
        """
        rows = self._finished()
        aside = [row for row in rows if row["kind"] == ASIDE]
        if aside:
            _logger.warning(
                "%d files are not images of this run: %s; see %s",
                len(aside),
                shown_counts(row["reason"] for row in aside),
                self.path,
            )
        refused = [row for row in rows if row["kind"] != ASIDE]
        if refused:
            count = f"{len(refused)} image{'s were' if len(refused) > 1 else ' was'} refused"
            raise RefusedImagesError(f"{count} ({shown_kinds(refused)}), all others were used; {self.path} says why")

    def keep(self) -> None:
        """Give the file its final name."""
        self._finished()

    def _finished(self) -> list[dict[str, str]]:
        """The rows; if there are any, the file gets its final name."""
        rows = self.rows()
        if rows and _is_first():
            with replacing(self.path) as temporary, temporary.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, COLUMNS)
                writer.writeheader()
                writer.writerows(rows)
            self._partial.unlink(missing_ok=True)
        return rows

    def _write(self, error: RefusedImage, rank: int) -> None:
        if not _is_first():  # processes that train together all read the same images
            return
        text = io.StringIO()
        csv.writer(text).writerow(
            (rank, error.path, error.reason, error.kind, error.series or "", error.instance or "")
        )
        self.path.parent.mkdir(parents=True, exist_ok=True)
        file = os.open(self._partial, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(file, text.getvalue().encode("utf-8", "backslashreplace"))  # one call: rows do not mix
        finally:
            os.close(file)


def require_images(
    datasets: Sequence[Refusing], refused: RefusedImages, class_names: ClassNames, skip_refused: bool = False
) -> None:
    """Stop a training over images that cannot be used, all at once, unless it is to go on without them.

    Args:
        datasets: of the training and of the validation images, which they have read.
        refused: the list to which they, and the listing of their folders, have added.
        class_names: names in the order of the labels, or ``channel_def`` of the metadata.
        skip_refused: go on without the refused images; the log and the trained settings record their number.

    Raises:
        ValueError: with each image and the reason; or if a class has no training image left.
    """
    listed = refused.rows_of_images()
    count = max(len(listed), sum(dataset.refused_count for dataset in datasets))
    if not count:
        return
    refused.keep()
    images = f"{count} image{'s' if count > 1 else ''}"
    if not skip_refused:
        shown = listed_lines([f"{row['path']}: {row['reason']}" for row in listed])
        raise ValueError(
            f"{images} cannot be used:\n{shown}\nFix or remove them ({refused.path} lists all), or go on without them: "
            "--skip_refused true"
        )
    _logger.warning("training without %s that cannot be used; %s says why", images, refused.path)
    names = in_order(class_names)
    present = {label for _, label in datasets[0].contents()}
    missing = [name for index, name in enumerate(names) if index not in present]
    if missing:
        raise ValueError(f"no training image of class {', '.join(missing)} can be used; {refused.path} says why")


def raise_all(failures: Sequence[BaseException], count: int) -> None:
    """Raise one error for everything that is wrong with some images.

    Args:
        failures: of the images; if there are none, nothing is raised.
        count: number of all images.
    """
    if len(failures) == 1:
        raise failures[0]
    if failures:
        shown = [str(failure) for failure in failures]
        raise ValueError(f"{len(failures)} of {count} images cannot be read:\n{listed_lines(shown)}") from failures[0]


def as_refusal(error: BaseException, item: Mapping[str, Any]) -> RefusedImage:
    """An error about an item's image as a refusal; errors of reading are refusals already."""
    if isinstance(error, RefusedImage):
        return error
    path = str(item[IMAGE])
    reason = str(error).removeprefix(f"{path}: ") or type(error).__name__
    return RefusedImage(path, reason, "missing" if isinstance(error, OSError) else "content")


def shown_kinds(rows: Iterable[Mapping[str, str]]) -> str:
    """How many refused images there are of each kind, for a message: "2 damaged, 1 content"."""
    return ", ".join(f"{number} {kind}" for kind, number in Counter(row["kind"] for row in rows).items())


def shown_counts(reasons: Iterable[str]) -> str:
    """How often each reason occurs, for a message; what to do about it is left out."""
    counts = Counter(reason.split(";")[0] for reason in reasons)
    return ", ".join(f"{reason} ({count})" for reason, count in counts.most_common())


def _is_first() -> bool:
    """Whether this is the first of several training processes, or the only one."""
    torch = sys.modules.get("torch.distributed")
    if torch is None or not torch.is_available() or not torch.is_initialized():  # then nothing trains here
        return True
    return bool(torch.get_rank() == 0)
