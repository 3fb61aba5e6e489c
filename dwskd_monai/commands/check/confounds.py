"""What tells the class without showing the disease: the size of an image, its file type, the scanner, its borders.

A network learns whatever separates the classes. If a small random forest tells a class from such facts alone, a high
accuracy of the network says little; see Zech et al. 2018 (doi 10.1371/journal.pmed.1002683) and DeGrave et al. 2021
(doi 10.1038/s42256-021-00338-7).
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dwskd_monai.commands.check.facts import Facts
from dwskd_monai.data.near_copies import SIDE
from dwskd_monai.evaluation.measuring import Measured
from dwskd_monai.evaluation.shortcuts.forest import drawn_images, one_hot
from dwskd_monai.evaluation.shortcuts.parts import is_border
from dwskd_monai.evaluation.shortcuts.telling import forest_aucs, tells_much


@dataclass(frozen=True)
class Confound:
    """How well something that is not the disease tells one class from the others.

    Args:
        what: the facts that are used.
        class_name: the class.
        auc: cross-validated, with its 95 % interval, or why there is none.
    """

    what: str
    class_name: str
    auc: Measured

    @property
    def is_suspicious(self) -> bool:
        """Whether it tells much about the class."""
        return tells_much(self.auc)


def find_confounds(
    facts: Sequence[Facts], labels: Sequence[int], groups: Sequence[Hashable], class_names: Sequence[str], seed: int = 0
) -> list[Confound]:
    """How well each set of facts tells each class, by a random forest that is cross-validated by patient.

    Facts that are equal for all images are left out.

    Args:
        facts: of images.
        labels: class indices.
        groups: patients; images of one patient are never both trained on and tested on.
        class_names: names in the order of the labels.
        seed: of the choice of images, the folds and the trees.
    """
    chosen = drawn_images(groups, seed)
    kept = [facts[index] for index in chosen]
    classes = np.array([labels[index] for index in chosen])
    members = [groups[index] for index in chosen]
    confounds: list[Confound] = []
    for what, features in _features(kept).items():
        if (features == features[0]).all():
            continue
        aucs = forest_aucs(features, classes, members, class_names, seed)["classes"]
        confounds += [Confound(what, name, aucs[name]) for name in class_names]
    return confounds


def _features(facts: Sequence[Facts]) -> dict[str, NDArray[np.float64]]:
    """Numbers ``(N, F)`` for each set of facts."""
    origins = [one.origin for one in facts]
    sizes = [(one.rows, one.columns, one.rows / one.columns, one.slices, *one.spacing) for one in facts]
    thumbnails = np.stack([one.thumbnail for one in facts])
    return {
        "image size": np.array(sizes, float),
        "bit depth": one_hot([(one.bits, one.colors) for one in origins]),
        "file type": one_hot([(one.format,) for one in origins]),
        "view": one_hot([(one.view,) for one in origins]),
        "scanner": one_hot([(one.manufacturer, one.model, one.site) for one in origins]),
        "borders": thumbnails[:, is_border(SIDE, SIDE)].astype(float),
    }
