"""Which labels are probably wrong, by confident learning (Northcutt et al., JAIR 2021, arXiv 1911.00068)."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Sequence

import numpy as np
from monai.utils import optional_import
from numpy.typing import NDArray

_logger = logging.getLogger(__name__)


def find_label_issues(
    labels: NDArray[np.integer], probabilities: NDArray[np.floating], class_names: Sequence[str]
) -> list[int]:
    """The places of labels that are probably wrong, the least likely label first, found by cleanlab.

    cleanlab estimates how often each class is labeled as another. To do so, it counts the studies whose probability for
    a class is at least what studies with this label have on average. Of each class, as many studies are listed as are
    probably mislabeled.

    Args:
        labels: ``(N,)``, indices of the classes.
        probabilities: ``(N, K)``, of networks that have not seen these labels.
        class_names: of the K classes.

    Raises:
        ValueError: if cleanlab is not installed.
    """
    cleanlab, is_installed = optional_import("cleanlab.filter")
    if not is_installed:
        raise ValueError("audit: cleanlab is not installed; pip install 'dwskd_monai[audit]'")
    missing = [name for index, name in enumerate(class_names) if index not in labels]
    if missing:
        _logger.warning(
            "no study that can be audited has the label %s; wrong labels are hard to find", ", ".join(missing)
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "May not flag all label issues", UserWarning)  # of the missing classes
        places = cleanlab.find_label_issues(
            labels, probabilities, return_indices_ranked_by="self_confidence", n_jobs=1
        )  # fmt: skip
    return [int(place) for place in places]
