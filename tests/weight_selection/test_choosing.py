"""Choice of elements, on couplings made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from dwskd_monai.weight_selection import Rules
from dwskd_monai.weight_selection.choosing import ChosenDimension, choose_elements
from dwskd_monai.weight_selection.coupling import Coupling
from dwskd_monai.weight_selection.dimensions import Pairing, pair_dimensions
from dwskd_monai.weight_selection.kinds import find_kinds
from tests.weight_selection.couplings import coupling

UNIFORM = Rules()
FIRST = Rules(elements="consecutive")


def paired(student: Coupling, teacher: Coupling) -> Pairing:
    return pair_dimensions(find_kinds(student, teacher, {name: name for name in student.axes}))


def taken(*elements: int, count: int) -> np.ndarray:
    mask = np.zeros(count, dtype=bool)
    mask[list(elements)] = True
    return mask


HEADS = paired(
    coupling({"query.weight": ["a b c d"], "value.weight": ["e f g h"]}, whole=["a b e f", "c d g h"]),
    coupling(
        {"query.weight": ["a b c d e f"], "value.weight": ["g h i j k l"]}, whole=["a b g h", "c d i j", "e f k l"]
    ),
)
CHANNELS = paired(
    coupling({"stem.weight": ["a b", "."], "last.weight": [".", "a b"]}),
    coupling({"stem.weight": ["a b c d", "."], "last.weight": [".", "a b c d"]}),
)
THINNED = paired(
    coupling({"stem.weight": ["a b c d"]}, thinned=["a b", "c d"]),
    coupling({"stem.weight": ["a b c d e f g h"]}, thinned=["a b c d", "e f g h"]),
)


def test_one_index_set_is_used_wherever_the_dimension_occurs():
    chosen = choose_elements(CHANNELS, UNIFORM)
    assert chosen.dimensions == {"stem": ChosenDimension(4, 2, 1, (0, 2))}
    along = chosen.along(CHANNELS)
    assert along["stem.weight"][0].tolist() == along["last.weight"][1].tolist() == [0, 2]
    assert along["stem.weight"][1].tolist() == along["last.weight"][0].tolist() == [-1], "fixed axes"


def test_the_same_heads_are_taken_in_all_members():
    chosen = choose_elements(HEADS, UNIFORM)
    assert chosen.dimensions == {"query": ChosenDimension(3, 2, 2, (0, 1))}
    along = chosen.along(HEADS)
    assert along["query.weight"][0].tolist() == [0, 1, 2, 3]
    assert along["value.weight"][0].tolist() == [6, 7, 8, 9]


def test_each_group_of_a_convolution_is_thinned_out():
    assert choose_elements(THINNED, UNIFORM).elements.tolist() == [0, 2, 4, 6]
    assert choose_elements(THINNED, FIRST).elements.tolist() == [0, 1, 4, 5]


def test_what_the_other_student_has_is_avoided():
    main = choose_elements(CHANNELS, FIRST)
    assert main.taken.tolist() == [True, True, False, False, False, False]
    assert choose_elements(CHANNELS, FIRST, avoid=main.taken).dimensions["stem"].indices == (2, 3)


def test_a_head_is_avoided_if_the_other_student_has_any_element_of_it():
    chosen = choose_elements(HEADS, UNIFORM, avoid=taken(6, count=12))  # a value of the first head
    assert chosen.dimensions["query"].indices == (1, 2)


def test_elements_of_a_group_are_avoided_too():
    assert choose_elements(THINNED, UNIFORM, avoid=taken(0, 2, 4, 6, count=8)).elements.tolist() == [1, 3, 5, 7]


def test_if_too_few_are_left_all_of_them_are_taken():
    assert choose_elements(CHANNELS, FIRST, avoid=taken(0, 1, 2, count=6)).dimensions["stem"].indices == (0, 3)


@pytest.mark.parametrize(
    ("pairing", "scores", "expected"),
    [
        (CHANNELS, [1, 5, 2, 9, 0, 0], (1, 3)),
        (HEADS, [9, 0, 0, 0, 0, 0, 0, 0, 5, 5, 2, 2], (0, 1)),  # 9, 10 and 4 for each head
        (THINNED, [0, 1, 0, 1, 1, 0, 1, 0], (0, 1)),
    ],
    ids=["channels", "heads", "groups"],
)
def test_importance_adds_up_over_all_elements_of_a_group(pairing, scores, expected):
    chosen = choose_elements(pairing, Rules(elements="importance"), np.array(scores, dtype=float))
    assert next(iter(chosen.dimensions.values())).indices == expected
    if pairing is THINNED:
        assert chosen.elements.tolist() == [1, 3, 4, 6], "and inside a group each element counts for itself"
