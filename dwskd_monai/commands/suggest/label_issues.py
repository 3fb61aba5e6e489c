"""Which labels are probably wrong, by confident learning (Northcutt et al., JAIR 2021, arXiv 1911.00068)."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray


def find_label_issues(labels: NDArray[np.integer], probabilities: NDArray[np.floating]) -> list[int]:
    """The places of labels that are probably wrong, the least likely label first, found by cleanlab.

    cleanlab estimates how often each class is labeled as another. To do so, it counts the studies whose probability for
    a class is at least what studies with this label have on average. Of each class, as many studies are listed as are
    probably mislabeled. If a class has no label, mislabeled studies of it
    cannot be found.

    Args:
        labels: ``(N,)``, indices of the classes, two or more different ones.
        probabilities: ``(N, K)``, of networks that have not seen these labels.

    Raises:
        ValueError: if cleanlab is not installed.
    """
    cleanlab = require_cleanlab()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)  # of the missing classes
        places = cleanlab.find_label_issues(
            labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        )  # fmt: skip
    return [int(place) for place in places]


def require_cleanlab() -> Any:
    """The module of cleanlab that finds label issues.

    Raises:
        ValueError: if it is not installed.
    """
    cleanlab, is_installed = optional_import("cleanlab.filter")
    if not is_installed:
        raise ValueError("audit: cleanlab is not installed; pip install 'dwskd_monai[audit]'")
    return cleanlab
