"""Weight selection: start a small network from a subset of a large one's weights.

Read :func:`~.select.select_weights` first: it is one straight line through these modules.

- ``select``: :func:`select_weights` and :func:`select_pair`;
- ``layers``: which blocks are taken; ``counterparts``: which of the teacher's tensors each of the student's comes from;
- ``coupling``: which axes of which tensors are one coupled dimension, found by following a network's forward pass;
- ``dimensions`` and ``kinds``: the student's dimensions paired with the teacher's;
- ``choosing``: one index set for each;
- ``rules``, ``importance``: how an index set is chosen;
- ``plan``: what is taken from where, tensor by tensor; ``copying``: takes it;
- ``adaptation``: positions and input channels, which are not selected but resampled and adapted;
- ``weights``: the teacher's tensors, from a network or read from a file as needed;
- ``report``: what was taken from where; ``similarity``: how similar the features are before any training.

Reference: Xu et al., *Initializing Models with Larger Ones*, ICLR 2024, arXiv 2311.18823; the complementary pair is
from Tsutsumi et al., arXiv 2508.20461.
"""

from dwskd_monai.weight_selection.networks import in_classifier
from dwskd_monai.weight_selection.report import PairReport, SelectionReport, TensorSelection
from dwskd_monai.weight_selection.rules import Rules
from dwskd_monai.weight_selection.select import select_pair, select_weights
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
