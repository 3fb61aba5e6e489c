"""Whether an image is of the kind that a network is for, judged by its header and its Hounsfield units."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from dwskd_monai.preprocessing.intensity import PICTURE, percentiles
from dwskd_monai.preprocessing.resizing import AsRead

Values = Mapping[str, Sequence[str]]
SLICES, HOUNSFIELD = "slices", "hounsfield"  # names in ``accept`` for what is judged beside the header
ANY = "any"
_PART = re.compile(r"[A-Z0-9.]+")


@dataclass(frozen=True)
class Expectation:
    """The images that a network is for.

    Args:
        expected: the values that a header may have, by name (:data:`dwskd_monai.reading.dicom_kind.SAYS`). If a value
            has several words, such as ``CHEST_PA``, one of them is enough. A header that says nothing is accepted.
        unexpected: the values that a header may not have, even if they are expected too.
        most_slices: the most slices that an image may have; None: any number.
        hounsfield: whether pixels must be Hounsfield units.
        accept: what is accepted nevertheless, as ``name=value``: ``view=LATERAL``, ``slices=any``, ``hounsfield=any``.

    Raises:
        ValueError: if an entry of ``accept`` has another form, or a name that is not judged.
    """

    expected: Values = field(default_factory=dict)
    unexpected: Values = field(default_factory=dict)
    most_slices: int | None = None
    hounsfield: bool = False
    accept: Sequence[str] = ()

    def __post_init__(self) -> None:
        if isinstance(self.accept, str):
            raise ValueError(f"accept: expected a list, such as --accept \"['view=LATERAL']\"; got {self.accept!r}")
        names = {*self.expected, *self.unexpected, SLICES, HOUNSFIELD}
        for word in self.accept:
            name, _, value = str(word).partition("=")
            if name not in names or not value:
                shown = ", ".join(sorted(names))
                raise ValueError(f"accept: expected NAME=VALUE with one of {shown} for NAME; got {word!r}")

    def of_kind(self, kind: str) -> Expectation:
        """What is expected of images of a kind: pictures need not be in Hounsfield units."""
        return replace(self, hounsfield=self.hounsfield and kind != PICTURE)

    def problem(self, says: Mapping[str, str], pixels: AsRead) -> str | None:
        """Why an image is not of the expected kind; None if it is.

        Args:
            says: what its header says, in capitals.
            pixels: ``(C, D, H, W)``.
        """
        return self.problem_of_header(says) or self._problem_of_content(pixels)

    def problem_of_header(self, says: Mapping[str, str]) -> str | None:
        """Why an image's header rules it out, before its pixels are known; None if it does not."""
        for name in (*self.unexpected, *self.expected):
            value = says.get(name, "")
            if not value or self._accepts(name, value):
                continue
            found = _fitting(value, self.unexpected.get(name, ()))
            if found:
                return f"{_shown(name, value)}; this network is not for such images; {_way_out(name, found)}"
            if name in self.expected and not _fitting(value, self.expected[name]):
                first = value.replace("\\", " ").split()[0]  # a backslash would not survive a command line
                return f"{_shown(name, value)}; expected {' or '.join(self.expected[name])}; {_way_out(name, first)}"
        return None

    def _problem_of_content(self, pixels: AsRead) -> str | None:
        slices = pixels.shape[1]
        if self.most_slices is not None and slices > self.most_slices and not self._accepts(SLICES, ANY):
            return f"{slices} slices; expected at most {self.most_slices}; {_way_out(SLICES, ANY)}"
        if self.hounsfield and not self._accepts(HOUNSFIELD, ANY):
            problem = implausible(pixels)
            if problem is not None:
                return f"no Hounsfield units of a body: {problem}; {_way_out(HOUNSFIELD, ANY)}"
        return None

    def _accepts(self, name: str, value: str) -> bool:
        accepted = [word.partition("=")[2].upper() for word in map(str, self.accept) if word.startswith(f"{name}=")]
        return ANY.upper() in accepted or _fitting(value, accepted) is not None


def _shown(name: str, value: str) -> str:
    return f"{name.replace('_', ' ')} is {value}"


def _way_out(name: str, value: str) -> str:
    return f"to use such images: --accept \"['{name}={value}']\""


def _fitting(value: str, words: Collection[str]) -> str | None:
    """The part of a value that is one of the words, or begins with one of at least four letters; None if there is none.

    ``CHEST_2VIEWS`` has the part ``CHEST``, and ``CHESTABDOMEN`` begins with it; ``FAST`` does not match ``FA``. A UID
    is one part.
    """
    parts = [*_PART.findall(value.upper()), value.upper()]
    wanted = [word.upper() for word in words]
    fits = (part for part in parts for word in wanted if part == word or (len(word) > 3 and part.startswith(word)))
    return next(fits, None)


# What is looked at of a volume, evenly spread; to look at all would take longer than to resize it
_SLICES = 16
_SAMPLED = 2**15  # pixels, about
_FAT_OR_AIR = -30.0  # HU; every part of a body contains fat or air
_PADDING = -1100.0  # HU; lower values are outside the circle that the scanner sees
_SOFT = (-200.0, 300.0)
_LOWEST, _HIGHEST = -5000.0, 40000.0
_LEAST_DARK = 1e-3
_LEAST_SOFT = 0.02
_LEAST_RANGE = 300.0


def implausible(pixels: AsRead) -> str | None:
    """Why values cannot be Hounsfield units of a body; None if they can.

    Air has -1000 HU, fat -100, water 0, soft tissue 20 to 80, bone up to 2000. Stored values that were not rescaled,
    values of a picture, z-scores and masks have nothing below zero, or too small a range.

    Args:
        pixels: of a whole image, ``(C, D, H, W)``.
    """
    low, high = float(pixels.min()), float(pixels.max())
    seen = f"values from {low:g} to {high:g}"
    if low < _LOWEST or high > _HIGHEST:
        return seen
    pixels = pixels[:, :: max(1, pixels.shape[1] // _SLICES)]
    step = max(1, round(np.sqrt(pixels.size / _SAMPLED)))
    pixels = pixels[..., ::step, ::step]
    dark = float(np.mean((pixels > _PADDING) & (pixels < _FAT_OR_AIR)))
    if dark < _LEAST_DARK:
        return f"{seen}, {dark:.1%} of them below {_FAT_OR_AIR:g} (no air and no fat)"
    first, last = percentiles(pixels, 0.1, 99.9)
    if last - first < _LEAST_RANGE:
        return f"{seen}, a range of {last - first:g} (a body has more)"
    soft = float(np.mean((pixels > _SOFT[0]) & (pixels < _SOFT[1])))
    if soft < _LEAST_SOFT:
        return f"{seen}, {soft:.1%} of them of soft tissue"
    return None
