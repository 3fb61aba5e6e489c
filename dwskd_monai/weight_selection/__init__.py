"""Weight selection: start a small network from a subset of a large one's weights.

- ``selection``: :func:`select_weights` and :func:`select_pair`, which do it;
- ``families``: which axes of which tensors are one coupled dimension, per family of networks;
- ``rules``: which layers and which elements are taken;
- ``report``: what was taken from where.

Reference: Xu et al., *Initializing Models with Larger Ones*, ICLR 2024, arXiv 2311.18823; the complementary pair is
from Tsutsumi et al., arXiv 2508.20461.
"""

from dwskd_monai.weight_selection.families import Axis, Family, in_classifier, register_family
from dwskd_monai.weight_selection.report import PairReport, SelectionReport, TensorSelection
from dwskd_monai.weight_selection.selection import select_pair, select_weights

__all__ = [
    "Axis",
    "Family",
    "PairReport",
    "SelectionReport",
    "TensorSelection",
    "in_classifier",
    "register_family",
    "select_pair",
    "select_weights",
]
