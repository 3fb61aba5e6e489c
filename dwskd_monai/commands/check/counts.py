"""How many images of each class have each size, bit depth, scanner and so on, as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pandas as pd

from dwskd_monai.commands.check.facts import Facts
from dwskd_monai.commands.check.listing import ListedImage

_MOST_ROWS = 12
_OTHERS = "others"
# What is counted, and its name
PROPERTIES: dict[str, Callable[[ListedImage, Facts], str]] = {
    "split": lambda image, facts: image.part,
    "file type": lambda image, facts: facts.origin.format,
    "size": lambda image, facts: f"{facts.rows} × {facts.columns}",
    "slices": lambda image, facts: str(facts.slices),
    "bit depth": lambda image, facts: facts.origin.bits,
    "colors": lambda image, facts: facts.origin.colors,
    "spacing in mm": lambda image, facts: " × ".join(f"{size:.2g}" for size in facts.spacing),
    "view": lambda image, facts: facts.origin.view,
    "scanner": lambda image, facts: f"{facts.origin.manufacturer} {facts.origin.model}".strip(),
    "site": lambda image, facts: facts.origin.site,
}
Table = dict[str, dict[str, int]]  # counts by value, then by class


def count(images: Sequence[ListedImage], facts: Sequence[Facts], class_names: Sequence[str]) -> dict[str, Table]:
    """A table for each property that has more than one value; the split always.

    Args:
        images: labeled or not.
        facts: of each.
        class_names: names in the order of the labels.
    """
    classes = ["unlabeled" if image.label is None else class_names[image.label] for image in images]
    order = [name for name in (*class_names, "unlabeled") if name in classes]
    tables = {}
    for name, value_of in PROPERTIES.items():
        values = pd.Series([value_of(image, one) or "unknown" for image, one in zip(images, facts)])
        if name == "split" or values.nunique() > 1:
            tables[name] = _table(values, classes, order)
    return tables


def _table(values: pd.Series, classes: Sequence[str], order: Sequence[str]) -> Table:
    common = values.value_counts().index[: _MOST_ROWS if values.nunique() <= _MOST_ROWS else _MOST_ROWS - 1]
    shown = values.where(values.isin(common), _OTHERS)
    counts = pd.crosstab(shown, pd.Series(classes))[list(order)]
    rows = [*common, *([_OTHERS] if _OTHERS in counts.index and _OTHERS not in common else [])]
    return {str(value): {name: int(counts.loc[value, name]) for name in order} for value in rows}
