"""The error for an image that is not read: it says which file, why, and what kind of reason that is."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

# The kinds of reasons, a column where refused images are listed:
#   missing   there is no such file, or it cannot be opened
#   damaged   cut off, empty, or bytes that no decoder takes
#   format    a kind of file, or of image, that is not read: text, color, a time series, a report
#   header    an attribute that is missing, contradicts another, or has no value that the standard allows
#   geometry  orientation, position or spacing that do not make slices of one volume
#   content   pixels that show nothing: constant, not finite, too few
#   unexpected  an image that can be read, and is not of the kind that a network is for
#   study     another image of its study is refused
#   held out  an image without a label that is, or belongs to, an image of validation or test, or is labeled elsewhere
#   aside     a file that was not meant: hidden, a thumbnail, a mask, a document; never an error
ASIDE = "aside"
HELD_OUT = "held out"
KINDS = ("missing", "damaged", "format", "header", "geometry", "content", "unexpected", "study", HELD_OUT, ASIDE)
_MOST_SHOWN = 10
_NUMBERS = re.compile(r"[-+.,\d]*\d[-+.,\d]*")


class RefusedImage(ValueError):
    """An image that is not read.

    Args:
        path: of the file, or of the folder of a series.
        reason: what was expected, what came, what to do; nothing about a patient.
        kind: one of :data:`KINDS`.
        series: SeriesInstanceUID, if DICOM tells.
        instance: SOPInstanceUID, if DICOM tells.
    """

    def __init__(
        self,
        path: str | Path,
        reason: str = "",
        kind: str = "damaged",
        series: str | None = None,
        instance: str | None = None,
    ) -> None:
        # without a reason, path is the whole text: torch makes the error of a DataLoader's worker again like this
        super().__init__(f"{path}: {reason}" if reason else str(path))
        self.path = Path(path)
        self.reason = reason
        self.kind = kind
        self.series = series
        self.instance = instance

    def __reduce__(self) -> tuple[type[RefusedImage], tuple[str, str, str, str | None, str | None]]:
        return type(self), (str(self.path), self.reason, self.kind, self.series, self.instance)


def refuse_unwanted(
    path: Path, says: Mapping[str, str], judge: Callable[[Mapping[str, str]], str | None] | None
) -> None:
    """Refuse an image of a kind that is not wanted.

    Args:
        path: of the image.
        says: what its header says.
        judge: says why such an image is not wanted; None: every image is wanted.
    """
    problem = None if judge is None else judge(says)
    if problem is not None:
        raise RefusedImage(path, problem, "unexpected", says.get("series"), says.get("instance"))


def raise_all(refusals: Sequence[RefusedImage], folder: Path, count: int) -> None:
    """Raise what is wrong with the files of a folder, all at once, each reason with its files.

    Args:
        refusals: of its files; none: nothing is raised.
        folder: of the image that they make.
        count: of all files.

    Raises:
        RefusedImage: the refusal itself if there is only one, else one of the folder.
    """
    if len(refusals) == 1:
        raise refusals[0]
    if not refusals:
        return
    raise RefusedImage(
        folder,
        f"{len(refusals)} of {count} files cannot be used: {listed(refusals)}",
        refusals[0].kind,
        next((refusal.series for refusal in refusals if refusal.series), None),
    )


def listed(refusals: Sequence[RefusedImage]) -> str:
    """Each reason with the names of its first files; reasons that differ in numbers alone count as one."""
    reasons: dict[str, str] = {}
    files: dict[str, list[str]] = {}
    for refusal in refusals:
        form = _NUMBERS.sub("0", refusal.reason)
        reasons.setdefault(form, refusal.reason)
        files.setdefault(form, []).append(refusal.path.name)
    return shortened([f"{shortened(names)}: {reasons[form]}" for form, names in files.items()], " | ")


def shortened(words: Sequence[str], between: str = ", ") -> str:
    """The first ten words, and how many more there are."""
    more = len(words) - _MOST_SHOWN
    return between.join(words[:_MOST_SHOWN]) + (f"{between}and {more} more" if more > 0 else "")


@contextmanager
def refusing(path: Path, what: str, kind: str = "damaged") -> Iterator[None]:
    """Turn whatever a library raises over the bytes of a file into a refusal.

    Decoders raise errors of any type over damaged files, and do not document which.

    Args:
        path: of the file.
        what: what cannot be done, such as ``a damaged DICOM file, its header cannot be read``.
        kind: one of :data:`KINDS`.

    Raises:
        RefusedImage: for any error but that of a file that cannot be opened.
    """
    try:
        yield
    except RefusedImage:
        raise
    except Exception as error:
        if isinstance(error, OSError) and error.errno is not None:  # the system's, not a decoder's
            raise
        reason = str(error).strip() or type(error).__name__
        raise RefusedImage(path, f"{what} ({reason.splitlines()[-1].strip()})", kind) from error
