"""Slices that were cut in a plane in which almost none of the training images were."""

from __future__ import annotations

import logging
from collections.abc import Mapping

UNKNOWN = "unknown"  # the plane of pictures, and of files that do not tell
_RARE = 0.05  # share of the training images below which a network has hardly seen a plane
_MOST_NAMES = 5
_logger = logging.getLogger(__name__)


class UnusualPlanes:
    """The studies of a run with slices in a plane in which almost none of the training images were cut.

    A training image whose plane is unknown may have been cut in any plane, so it counts for each of them.

    Args:
        trained: number of training images of each plane; empty or None: not known, so no plane is unusual.

    Examples:
        >>> planes = UnusualPlanes({"axial": 52, "sagittal": 1})
        >>> planes.add("CT 1", "axial")
        >>> planes.add("CT 2", "sagittal")
        >>> planes.counts()
        {'sagittal': 1}
    """

    def __init__(self, trained: Mapping[str, int] | None) -> None:
        self._trained = dict(trained or {})
        self._studies: dict[str, dict[str, None]] = {}  # of each unusual plane; a dictionary keeps their order

    def add(self, study: str, plane: str) -> None:
        """Note the plane of a slice of a study."""
        if self._is_unusual(plane):
            self._studies.setdefault(plane, {})[study] = None

    def of_study(self, study: str) -> list[str]:
        """The unusual planes of a study's slices."""
        return [plane for plane, studies in self._studies.items() if study in studies]

    def counts(self) -> dict[str, int]:
        """The number of studies of each unusual plane."""
        return {plane: len(studies) for plane, studies in self._studies.items()}

    def warn(self) -> None:
        """Log one warning for each unusual plane, with the number of its studies and the first of their names."""
        for plane, studies in self._studies.items():
            names = list(studies)
            more = len(names) - _MOST_NAMES
            _logger.warning(
                "%s %s slices (%s%s), but the network was trained on images of other planes (%s): do not rely on %s",
                "1 study has" if len(names) == 1 else f"{len(names)} studies have",
                plane,
                ", ".join(names[:_MOST_NAMES]),
                f" and {more} more" if more > 0 else "",
                ", ".join(f"{count} {name}" for name, count in self._trained.items()),
                "its prediction" if len(names) == 1 else "their predictions",
            )

    def _is_unusual(self, plane: str) -> bool:
        possible = self._trained.get(plane, 0) + self._trained.get(UNKNOWN, 0)
        return plane != UNKNOWN and possible < _RARE * sum(self._trained.values())
