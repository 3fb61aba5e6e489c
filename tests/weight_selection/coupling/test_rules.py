"""The graph, and what single operations say, on labels made by hand: the examples in the docstrings, and more."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dwskd_monai.weight_selection.coupling import combining, operations, reshaping
from dwskd_monai.weight_selection.coupling.graph import CouplingGraph
from dwskd_monai.weight_selection.coupling.labels import Label, Labels, put_labels


def labeled(shape: tuple[int, ...], *labels: tuple[tuple[int, ...], list], weight: bool = False) -> Tensor:
    """A tensor without values, with numbers along some axes."""
    made = tuple(Label(axes, np.array(numbers)) for axes, numbers in labels)
    return put_labels(torch.empty(shape, device="meta"), Labels(made, weight=weight))


def plain(labels: Labels) -> list[tuple[tuple[int, ...], list]]:
    return [(axes, numbers.tolist()) for axes, numbers in labels.labels]


def parts(partition: np.ndarray) -> set[frozenset[int]]:
    """The sets of numbers that have the same value, without those that are alone."""
    sets = {frozenset(np.flatnonzero(partition == value).tolist()) for value in partition}
    return {numbers for numbers in sets if len(numbers) > 1}


def graph_of(count: int) -> CouplingGraph:
    graph = CouplingGraph()
    graph.fresh((count,))
    return graph


def groups(graph: CouplingGraph) -> set[frozenset[int]]:
    """The groups, as sets of numbers."""
    components = graph.components()
    return parts(components.groups[components.elements])


def test_links_make_elements_and_groups_are_joined():
    graph = graph_of(10)
    graph.link(np.array([0, 1, 2]), np.array([5, 6, 7]))
    graph.group(np.array([[0, 1], [2, 3]]), keep=[0])
    graph.join_groups(np.array([0, 2]), np.array([8, 9]))
    components = graph.components()
    assert parts(components.elements) == {frozenset({0, 5}), frozenset({1, 6}), frozenset({2, 7})}
    assert groups(graph) == {frozenset({0, 1, 5, 6, 8}), frozenset({2, 3, 7, 9})}
    assert components.whole[components.groups[components.elements]].tolist() == [True] * 4 + [False] + [True] * 5
    assert graph.known().tolist() == [True] * 4 + [False] + [True] * 5


def test_a_group_may_be_thinned_out():
    graph = graph_of(4)
    graph.group(np.array([[0, 1], [2, 3]]), keep=[0], whole=False)
    assert groups(graph) == {frozenset({0, 1}), frozenset({2, 3})}
    assert not graph.components().whole.any()


@pytest.mark.parametrize(
    ("shape", "label", "view", "expected"),
    [
        ((1, 4), ((1,), [0, 1, 2, 3]), (1, 2, 2), ((1, 2), [[0, 1], [2, 3]])),
        ((1, 2, 2), ((1, 2), [[0, 1], [2, 3]]), (1, 4), ((1,), [0, 1, 2, 3])),
        ((1, 2, 3), ((1,), [0, 1]), (1, 6), ((1,), [0, 0, 0, 1, 1, 1])),
        ((1, 3, 2), ((2,), [0, 1]), (3, 2), ((1,), [0, 1])),
        ((1, 5, 2), ((2,), [0, 1]), (1, 5, 1, 2), ((2, 3), [[0, 1]])),
    ],
    ids=["channels to heads", "heads to channels", "flattened", "positions merged into the batch", "a single head"],
)
def test_a_view_takes_labels_along(shape, label, view, expected):
    assert plain(reshaping.view(labeled(shape, label), view)) == [expected]


def test_parts_that_are_joined_follow_each_other():
    first = reshaping.Part.of(labeled((1, 2), ((1,), [0, 1])))
    second = reshaping.Part.of(labeled((1, 3), ((1,), [2, 3, 4])))
    assert plain(reshaping.join(graph_of(5), [first, second], 1)) == [((1,), [0, 1, 2, 3, 4])]


def test_joining_along_positions_makes_channels_the_same():
    graph = graph_of(4)
    image = reshaping.Part.of(labeled((1, 3, 2), ((2,), [0, 1])))
    token = reshaping.Part.of(labeled((1, 1, 2), ((2,), [2, 3])))
    assert plain(reshaping.join(graph, [image, token], 1)) == [((2,), [0, 1])]
    assert parts(graph.components().elements) == {frozenset({0, 2}), frozenset({1, 3})}


def test_a_pooled_axis_loses_its_label_and_is_taken_whole():
    graph = graph_of(4)
    assert plain(reshaping.resize(graph, labeled((1, 4), ((1,), [0, 1, 2, 3])), (1, 2))) == []
    assert groups(graph) == {frozenset({0, 1, 2, 3})}


def test_a_linear_layer_links_its_inputs():
    graph = graph_of(7)
    image = labeled((1, 3), ((1,), [0, 1, 2]))
    weight = labeled((1, 3), ((0,), [3]), ((1,), [4, 5, 6]), weight=True)
    assert plain(operations.linear(graph, image, weight, None)) == [((1,), [3])]
    assert parts(graph.components().elements) == {frozenset({0, 4}), frozenset({1, 5}), frozenset({2, 6})}


def test_queries_that_meet_keys_make_groups_of_heads():
    graph = graph_of(8)
    queries = labeled((1, 2, 5, 2), ((1, 3), [[0, 1], [2, 3]]))
    keys = labeled((1, 2, 5, 2), ((1, 3), [[4, 5], [6, 7]]))
    letters = [["batch", "head", "row", "sum"], ["batch", "head", "column", "sum"]]
    result = combining.combine(graph, [queries, keys], letters, ["batch", "head", "row", "column"])
    (label,) = result.labels
    assert label.axes == (1,), "one number for each head is left"
    assert parts(graph.components().elements) == {frozenset({n, n + 4}) for n in range(4)}
    components = graph.components()
    group = components.groups[components.elements]
    first_head, second_head = label.numbers.tolist()
    assert len(set(group[[0, 1, 4, 5, first_head]])) == 1
    assert len(set(group[[2, 3, 6, 7, second_head]])) == 1
    assert group[0] != group[2]
    assert components.whole[group].all()


def test_a_scale_of_each_head_belongs_to_the_heads_elements():
    graph = graph_of(6)
    heads = labeled((1, 2, 5, 2), ((1, 3), [[0, 1], [2, 3]]))
    scale = labeled((2, 1, 1), ((0,), [4, 5]), weight=True)
    operations.pointwise(graph, [heads, scale], (1, 2, 5, 2))
    assert groups(graph) == {frozenset({0, 1, 4}), frozenset({2, 3, 5})}


def test_one_norm_for_all_heads_leaves_heads_free():
    graph = graph_of(6)
    heads = labeled((1, 2, 5, 2), ((1, 3), [[0, 1], [2, 3]]))
    norm = labeled((2,), ((0,), [4, 5]), weight=True)
    operations.pointwise(graph, [heads, norm], (1, 2, 5, 2))
    assert groups(graph) == {frozenset({0, 1}), frozenset({2, 3}), frozenset({4, 5})}


def test_a_table_of_positions_is_taken_whole_along_them():
    graph = graph_of(7)
    tokens = labeled((1, 3, 2), ((2,), [0, 1]))
    table = labeled((1, 3, 2), ((1,), [2, 3, 4]), ((2,), [5, 6]), weight=True)
    assert plain(operations.pointwise(graph, [tokens, table], (1, 3, 2))) == [((2,), [0, 1])]
    assert groups(graph) == {frozenset({2, 3, 4}), frozenset({0, 5}), frozenset({1, 6})}
