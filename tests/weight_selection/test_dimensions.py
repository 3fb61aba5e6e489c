"""Pairing of dimensions, on couplings made by hand. Numbers of elements count letters in the order they are met."""

from __future__ import annotations

import pytest

from dwskd_monai.weight_selection.coupling import Coupling
from dwskd_monai.weight_selection.dimensions import Pairing, pair_dimensions
from dwskd_monai.weight_selection.kinds import find_kinds
from tests.weight_selection.couplings import coupling


def paired(student: Coupling, teacher: Coupling, sources: dict[str, str] | None = None) -> Pairing:
    return pair_dimensions(find_kinds(student, teacher, sources or {name: name for name in student.axes}))


def members(pairing: Pairing) -> dict[str, list[tuple[list, list]]]:
    """For each dimension, the student's and the teacher's elements of its members."""
    return {
        dimension.name: [(member.student.tolist(), member.teacher.tolist()) for member in dimension.members]
        for dimension in pairing.dimensions
    }


def test_a_dimension_is_the_teachers_that_occurs_in_the_same_places():
    student = coupling({"stem.weight": ["a b", "."], "last.weight": ["c", "a b"]})
    teacher = coupling({"stem.weight": ["a b c", "."], "last.weight": ["d e", "a b c"]})
    assert members(paired(student, teacher)) == {
        "stem": [([[0], [1]], [[0], [1], [2]])],
        "last": [([[3]], [[4], [5]])],
    }


def test_elements_along_one_axis_are_told_apart_by_where_else_they_occur():
    student = coupling({"left.weight": ["a"], "right.weight": ["b c"], "last.weight": [".", "a b c"]})
    teacher = coupling({"left.weight": ["a b"], "right.weight": ["c d e"], "last.weight": [".", "a b c d e"]})
    assert members(paired(student, teacher)) == {
        "left": [([[0]], [[0], [1]])],
        "right": [([[1], [2]], [[2], [3], [4]])],
    }


def test_a_dimension_is_called_by_the_layer_that_makes_it_even_if_it_is_met_before():
    student = coupling({"table": ["a b"], "stem.weight": ["a b"]})
    assert [dimension.name for dimension in paired(student, student).dimensions] == ["stem"]


def test_two_dimensions_of_one_layer_are_numbered():
    student = coupling({"both.weight": ["a b"], "left.bias": ["a"], "right.bias": ["b"]})
    assert [dimension.name for dimension in paired(student, student).dimensions] == ["both", "both (2)"]


def test_blocks_of_another_name_are_looked_up_there():
    student = coupling({"blocks.0.weight": ["a"], "blocks.1.weight": ["b"]})
    teacher = coupling({"blocks.0.weight": ["a b"], "blocks.1.weight": ["c d"], "blocks.2.weight": ["e f"]})
    sources = {"blocks.0.weight": "blocks.0.weight", "blocks.1.weight": "blocks.2.weight"}
    assert members(paired(student, teacher, sources))["blocks.1"] == [([[1]], [[4], [5]])]


def test_fixed_axes_are_in_no_dimension():
    student = coupling({"positions": [".", "a"], "stem.weight": ["a", "."]})
    teacher = coupling({"positions": [".", "a b"], "stem.weight": ["a b", "."]})
    assert members(paired(student, teacher)) == {"stem": [([[1]], [[1], [2]])]}


def test_kinds_whose_groups_belong_together_are_members_of_one_dimension():
    """One head of the student and two of the teacher, of two elements of queries and keys, and two of values."""
    student = coupling({"query.weight": ["a b"], "key.weight": ["a b"], "value.weight": ["e f"]}, whole=["a b e f"])
    teacher = coupling(
        {"query.weight": ["a b c d"], "key.weight": ["a b c d"], "value.weight": ["e f g h"]},
        whole=["a b e f", "c d g h"],
    )
    pairing = paired(student, teacher)
    assert members(pairing) == {"query": [([[0, 1]], [[0, 1], [2, 3]]), ([[2, 3]], [[4, 5], [6, 7]])]}
    assert (pairing.dimensions[0].student_size, pairing.dimensions[0].teacher_size) == (1, 2)


def test_groups_that_lie_apart_along_an_axis_are_rows():
    student = coupling({"first.weight": ["a c b d"]}, whole=["a b", "c d"])
    assert members(paired(student, student)) == {"first": [([[0, 2], [1, 3]], [[0, 2], [1, 3]])]}


def test_groups_may_be_narrower_in_the_student():
    student = coupling({"first.weight": ["a b"]}, thinned=["a", "b"])
    teacher = coupling({"first.weight": ["a b c d"]}, thinned=["a b", "c d"])
    with pytest.raises(ValueError, match="divided into groups in the teacher, but not in the student"):
        paired(student, teacher)
    student = coupling({"first.weight": ["a b c d"]}, thinned=["a b", "c d"])
    teacher = coupling({"first.weight": ["a b c d e f"]}, thinned=["a b c", "d e f"])
    assert members(paired(student, teacher)) == {"first": [([[0, 1], [2, 3]], [[0, 1, 2], [3, 4, 5]])]}


def test_more_and_smaller_groups_of_the_student_are_parts_of_the_teachers():
    student = coupling({"first.weight": ["a b c d e f"]}, thinned=["a b", "c d", "e f"])
    teacher = coupling({"first.weight": ["a b c d e f g h i j"]}, thinned=["a b c d e", "f g h i j"])
    assert members(paired(student, teacher)) == {
        "first": [([[0, 1], [2, 3], [4, 5]], [[0, 1], [2, 3], [5, 6], [7, 8]])],
    }


def test_groups_of_the_student_take_any_channels_of_a_teacher_without_groups():
    student = coupling({"first.weight": ["a b c d"]}, thinned=["a b", "c d"])
    teacher = coupling({"first.weight": ["a b c d e"]})
    assert members(paired(student, teacher)) == {
        "first": [([[0], [1], [2], [3]], [[0], [1], [2], [3], [4]])],
    }


def test_what_only_the_student_couples_is_split():
    student = coupling({"first.weight": ["a b"], "second.weight": ["a b"], "last.weight": [".", "a b"]})
    teacher = coupling({"first.weight": ["a b c"], "second.weight": ["d e f"], "last.weight": [".", "d e f"]})
    pairing = paired(student, teacher)
    assert members(pairing) == {
        "first": [([[3], [4]], [[0], [1], [2]])],
        "second": [([[5], [6]], [[3], [4], [5]])],
    }
    assert pairing.student_count == 7
    assert {name: axes[-1].tolist() for name, axes in pairing.axes.items()} == {
        "first.weight": [3, 4],
        "second.weight": [5, 6],
        "last.weight": [5, 6],
    }
    assert student.axes["first.weight"][0].tolist() == [0, 1], "the coupling itself is as it was"


def test_what_only_the_teacher_couples_is_chosen_apart():
    student = coupling({"first.weight": ["a b"], "second.weight": ["c d"]})
    teacher = coupling({"first.weight": ["a b c"], "second.weight": ["a b c"]})
    assert members(paired(student, teacher)) == {
        "first": [([[4], [5]], [[0], [1], [2]])],
        "second": [([[6], [7]], [[0], [1], [2]])],
    }


@pytest.mark.parametrize(
    ("student", "teacher", "message"),
    [
        (
            coupling({"first.weight": ["a b c"]}),
            coupling({"first.weight": ["a b"]}),
            r"first.weight: the student is wider than the teacher \(3 > 2 along axis 0\)",
        ),
        (
            coupling({"first.weight": ["a b c d"]}, whole=["a b", "c d"]),
            coupling({"first.weight": ["a b c d e f"]}, whole=["a b c", "d e f"]),
            "first.weight: axis 0 is taken in whole groups .* 3 elements in the teacher and 2 in the student",
        ),
        (
            coupling({"first.weight": ["a b c d e f"]}, thinned=["a b c", "d e f"]),
            coupling({"first.weight": ["a b c d e f"]}, thinned=["a b", "c d", "e f"]),
            "first.weight: a group has 3 elements along axis 0 in the student and 2 in the teacher",
        ),
        (
            coupling({"first.weight": ["a b c"], "second.weight": ["a b d"]}),
            coupling({"first.weight": ["a b c d"], "second.weight": ["e f g h"]}),
            "first.weight: axis 0 of the student is coupled with other tensors than in the teacher's first.weight",
        ),
        (
            coupling({"first.weight": ["a b c"]}, thinned=["a b"]),
            coupling({"first.weight": ["a b c d"]}, thinned=["a b", "c d"]),
            "first.weight: axis 0 has groups of different sizes",
        ),
        (
            coupling(
                {"first.weight": ["a b c d e f"], "second.weight": ["g h i j k l"]},
                thinned=["a b g h", "c d i j", "e f k l"],
            ),
            coupling({"first.weight": ["a b c d e f"], "second.weight": ["g h"]}, thinned=["a b c d e f g h"]),
            "second.weight: 3 groups of 2 elements along axis 0 cannot be cut out of the teacher's 1 of 2",
        ),
        (
            coupling({"first.weight": ["a b c d e f"]}, thinned=["a b", "c d", "e f"]),
            coupling({"first.weight": ["a b c d e"]}, thinned=["a b c d e"]),
            "first.weight: 3 groups of 2 elements along axis 0 cannot be cut out of the teacher's 1 of 5",
        ),
        (
            coupling({"first.weight": ["a b c d e f"]}, whole=["a b", "c d", "e f"]),
            coupling({"first.weight": ["a b c d"]}, whole=["a b", "c d"]),
            r"first.weight: the student has more groups than the teacher \(3 > 2 along axis 0\)",
        ),
        (
            coupling(
                {"first.weight": ["a b"], "second.weight": ["c d"], "third.weight": ["e f g h"]},
                whole=["a e", "b f", "c g", "d h"],
            ),
            coupling(
                {"first.weight": ["a b"], "second.weight": ["c d"], "third.weight": ["e f g h"]},
                whole=["a e", "b f", "c g", "d h"],
            ),
            "third.weight: axis 0 joins groups of several dimensions",
        ),
        (
            coupling({"first.weight": ["a b"], "second.weight": ["c d e"]}, whole=["a c", "b d"]),
            coupling({"first.weight": ["a b"], "second.weight": ["c d e"]}, whole=["a c", "b d"]),
            "second.weight: axis 0 joins groups of several dimensions",
        ),
    ],
    ids=[
        "wider",
        "heads of another size",
        "wider groups",
        "other coupling",
        "uneven groups",
        "empty parts",
        "short parts",
        "heads",
        "groups of two dimensions",
        "groups of a dimension and others",
    ],
)
def test_what_cannot_be_paired_is_named(student, teacher, message):
    with pytest.raises(ValueError, match=message):
        paired(student, teacher)
