"""Weight selection: start a small network from a subset of a large one's weights.

- ``selection``: :func:`select_weights` and :func:`select_pair`, which copy the weights; ``plan``: which ones;
- ``coupling``: which axes of which tensors are one coupled dimension, found by following a network's forward pass;
- ``matching``: the student's dimensions and the teacher's, and one index set for each;
- ``layers``, ``rules``, ``importance``: which blocks and which elements are taken;
- ``adaptation``: positions and input channels, which are not selected but resampled and adapted;
- ``weights``: the teacher's tensors, from a network or read from a file as needed;
- ``report``: what was taken from where; ``similarity``: how alike the features are before any training.

Reference: Xu et al., *Initializing Models with Larger Ones*, ICLR 2024, arXiv 2311.18823; the complementary pair is
from Tsutsumi et al., arXiv 2508.20461.
"""

from dwskd_monai.weight_selection.networks import in_classifier
from dwskd_monai.weight_selection.report import PairReport, SelectionReport, TensorSelection
from dwskd_monai.weight_selection.rules import Rules
from dwskd_monai.weight_selection.selection import select_pair, select_weights
from dwskd_monai.weight_selection.weights import Teacher

__all__ = [
    "PairReport",
    "Rules",
    "SelectionReport",
    "Teacher",
    "TensorSelection",
    "in_classifier",
    "select_pair",
    "select_weights",
]
