"""Weight selection: start a small network from a subset of a large one's weights.

Read ``select`` first: it uses these modules one after the other, in this order.

- ``select``: :func:`select_weights` and :func:`select_pair`, and the sequence of steps that both take;
- ``weights``: the teacher's tensors, from a network or read from a file as needed;
- ``networks``: what must be known of a network: its family, its classifier, its coupling;
- ``coupling``: which axes of which tensors are one coupled dimension, found by following a network's forward pass;
- ``layers``: which blocks are taken;
- ``counterparts``: which tensor of the teacher each tensor of the student comes from;
- ``kinds``: which elements of both networks occur in the same places;
- ``dimensions``: the student's dimensions, which are made of kinds, paired with those of the teacher;
- ``rules``: how candidates are chosen;
- ``choosing``: one index set for each dimension, and how important an element is;
- ``plan`` and ``tensors``: what will be taken from where, tensor by tensor;
- ``copying``: copies it;
- ``adaptation``: positions and input channels, which are not selected but resampled and adapted;
- ``report``: what was taken from where;
- ``similarity``: how similar the student's features are to the teacher's before any training.

Reference: Xu et al., *Initializing Models with Larger Ones*, ICLR 2024, arXiv 2311.18823; the complementary pair is
from Tsutsumi et al., arXiv 2508.20461.
"""

from dwskd_monai.weight_selection.layers import select_layers, stages
from dwskd_monai.weight_selection.networks import image_shape, in_classifier
from dwskd_monai.weight_selection.report import PairReport, SelectionReport
from dwskd_monai.weight_selection.rules import ELEMENT_RULES, Rules
from dwskd_monai.weight_selection.select import select_pair, select_weights
from dwskd_monai.weight_selection.similarity import block_grams, block_similarity
from dwskd_monai.weight_selection.tensors import TensorSelection
from dwskd_monai.weight_selection.weights import FileWeights, Teacher

__all__ = [
    "ELEMENT_RULES",
    "FileWeights",
    "PairReport",
    "Rules",
    "SelectionReport",
    "Teacher",
    "TensorSelection",
    "block_grams",
    "block_similarity",
    "image_shape",
    "in_classifier",
    "select_layers",
    "select_pair",
    "select_weights",
    "stages",
]
