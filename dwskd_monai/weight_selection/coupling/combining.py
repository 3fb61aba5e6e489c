"""Labels of operations that combine operands along axes that they share.

Sums, products, contractions and layers are all Einstein sums as far as axes are concerned. A linear layer is::

    tensor (batch, in)    weight (out, in)  ->  result (batch, out)

Axes with the same letter are the same index, which says something about the elements along them:

- Two labels of the same letters stand for the same elements (*link*). Above, the inputs of the weight are the channels
  of the tensor.
- A label of (heads, elements) and one of (heads,) have groups that belong together (*join_groups*). This is the case if
  each head has a scale of its own.
- If a letter has a label in one operand and meets positions or space, which have none, in another, it is not a channel:
  it is only taken whole (*group*). An example is a table of positions that is added to tokens.
- If two operands come from the image, a letter that is contracted is only taken whole. An example is the elements of a
  head, where queries meet keys::

      queries (batch, head, row, sum)    keys (batch, head, column, sum)  ->  result (batch, head, row, column)
      labels of (head, sum):  [[0 1] [2 3]] and [[4 5] [6 7]]
      link 0 with 4, 1 with 5, …; {0 1} is a group, and so is {2 3}; the result keeps one number for each group
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from torch import Tensor

from dwskd_monai.weight_selection.coupling.graph import CouplingGraph
from dwskd_monai.weight_selection.coupling.labels import Label, Labels, Numbers, labels_of

Letters = Sequence[str | None]
Lengths = Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Operand:
    """What an Einstein sum has to know about a tensor.

    Args:
        shape: of the tensor.
        letters: one for each axis; None for an axis that no other operand has.
        labels: of the tensor.
    """

    shape: tuple[int, ...]
    letters: tuple[str | None, ...]
    labels: Labels

    def length(self, letter: str) -> int:
        """The length of the axis with this letter."""
        return self.shape[self.letters.index(letter)]

    def is_constant(self, letter: str) -> bool:
        """Whether it says nothing about the elements along this letter."""
        if letter not in self.letters:
            return True
        return self.letters.index(letter) in self.labels.constant or self.length(letter) == 1


class _Named(NamedTuple):
    """A label whose axes are letters, in the order of the tensor's axes: heads come before their elements."""

    letters: tuple[str, ...]
    numbers: Numbers


def combine(graph: CouplingGraph, tensors: Sequence[Tensor], letters: Sequence[Letters], result: Letters) -> Labels:
    """:func:`combine_operands` of tensors, with the letters of each."""
    operands = [
        Operand(tuple(tensor.shape), tuple(names), labels_of(tensor)) for tensor, names in zip(tensors, letters)
    ]
    return combine_operands(graph, operands, result)


def combine_operands(graph: CouplingGraph, operands: Sequence[Operand], result: Letters) -> Labels:
    """Labels of an operation that is an Einstein sum as far as axes are concerned.

    Args:
        graph: learns what follows for the elements.
        operands: the tensors with their letters.
        result: the letters of the result's axes; a letter that is missing here is contracted.
    """
    lengths = _lengths(operands)
    named = [_named_labels(graph, operand, operands, lengths) for operand in operands]
    for labels, labels_behind in itertools.combinations(named, 2):
        for first, second in itertools.product(labels, labels_behind):
            _relate(graph, first, second, lengths)
    meets_image = sum(not operand.labels.weight for operand in operands) > 1
    places = {letter: axis for axis, letter in enumerate(result) if letter is not None}
    remaining: dict[tuple[int, ...], Numbers] = {}
    for label in itertools.chain.from_iterable(named):
        left = _remaining(graph, label, places, meets_image)
        if left is not None:
            remaining.setdefault(left.axes, left.numbers)
    constant = {axis for letter, axis in places.items() if all(operand.is_constant(letter) for operand in operands)}
    weight = all(operand.labels.weight for operand in operands)
    return Labels(_widest(remaining), frozenset(constant), weight)


def _lengths(operands: Sequence[Operand]) -> dict[str, int]:
    """The length of each letter; an operand that is broadcast has 1 there."""
    lengths: dict[str, int] = {}
    for operand in operands:
        for letter, length in zip(operand.letters, operand.shape):
            if letter is not None:
                lengths[letter] = max(length, lengths.get(letter, 1))
    return lengths


def _named_labels(
    graph: CouplingGraph, operand: Operand, operands: Sequence[Operand], lengths: Lengths
) -> list[_Named]:
    """An operand's labels in letters, without those of a parameter's axis of positions."""
    named = []
    for label in operand.labels.labels:
        if not _has_letters(label, operand):  # a kernel's side, or channels used as one
            graph.group(label.numbers)
            continue
        label_in_letters = _in_letters(label, operand, lengths)
        meets_positions = _take_whole(graph, label_in_letters, operand, operands)
        if not (operand.labels.weight and meets_positions):
            named.append(label_in_letters)
    return named


def _has_letters(label: Label, operand: Operand) -> bool:
    return all(operand.letters[axis] is not None for axis in label.axes)


def _in_letters(label: Label, operand: Operand, lengths: Lengths) -> _Named:
    """A label's axes as letters, without those that are broadcast."""
    letters = [str(operand.letters[axis]) for axis in label.axes]
    broadcast = tuple(place for place, letter in enumerate(letters) if operand.length(letter) != lengths[letter])
    kept = tuple(letter for place, letter in enumerate(letters) if place not in broadcast)
    return _Named(kept, np.squeeze(label.numbers, broadcast))


def _take_whole(graph: CouplingGraph, label: _Named, owner: Operand, operands: Sequence[Operand]) -> bool:
    """Group a label along each letter that meets an axis without a label whose values differ.

    A table of positions (position, channel) is added to tokens (batch, position, channel) that have a label of
    (channel,): all numbers along the table's positions are one group.

    Returns:
        Whether it met such an axis of the image: then it is a parameter's axis of positions.
    """
    meets_positions = False
    for place, letter in enumerate(label.letters):
        partners = _unlabeled_partners(letter, label.numbers.shape[place], owner, operands)
        if any(not partner.is_constant(letter) for partner in partners):
            graph.group(label.numbers, [axis for axis in range(len(label.letters)) if axis != place])
        meets_positions |= any(not partner.labels.weight for partner in partners)
    return meets_positions


def _unlabeled_partners(letter: str, length: int, owner: Operand, operands: Sequence[Operand]) -> list[Operand]:
    """The other operands whose axis with this letter has no label, and says something about the elements along it.

    An axis of constant values says nothing, unless both axes have length 1: a table for a single position is one of
    positions too, although there is nothing to group along it.
    """
    partners = []
    for operand in operands:
        if operand is owner or letter not in operand.letters:
            continue
        labels = [label for label in operand.labels.labels if _has_letters(label, operand)]
        axis = operand.letters.index(letter)
        is_labeled = any(axis in label.axes for label in labels)
        is_single = operand.length(letter) == length == 1
        if not is_labeled and (is_single or not operand.is_constant(letter)):
            partners.append(operand)
    return partners


def _relate(graph: CouplingGraph, first: _Named, second: _Named, lengths: Lengths) -> None:
    """What two labels that share letters say about each other.

    ::

        (in,)             and (in,)         channels and the inputs of a weight: the same elements
        (heads, elements) and (elements,)   one norm for all heads: heads are free, the elements of a head are not
        (heads, elements) and (heads,)      a scale for each head: the head's elements are a group, with its scale
    """
    common = [letter for letter in first.letters if letter in second.letters]
    only_first = [letter for letter in first.letters if letter not in second.letters]
    only_second = [letter for letter in second.letters if letter not in first.letters]
    if not common:
        return
    if all(lengths[letter] == 1 for letter in only_first + only_second):
        graph.link(_arranged(first, common), _arranged(second, common))
        return
    wider = first if len(first.letters) > len(second.letters) else second
    shares_heads = wider.letters[0] in common  # heads are the outer axis
    if shares_heads:
        count = math.prod(lengths[letter] for letter in common)
        first_rows = _arranged(first, common + only_first).reshape(count, -1)
        second_rows = _arranged(second, common + only_second).reshape(count, -1)
        graph.group(first_rows, keep=[0])
        graph.group(second_rows, keep=[0])
        graph.join_groups(first_rows[:, 0], second_rows[:, 0])
        return
    graph.group(first.numbers, [first.letters.index(letter) for letter in only_first])
    graph.group(second.numbers, [second.letters.index(letter) for letter in only_second])


def _arranged(label: _Named, order: Sequence[str]) -> Numbers:
    """A label's numbers with the axes in this order; those that are left out have length 1."""
    left_out = [place for place, letter in enumerate(label.letters) if letter not in order]
    places = [label.letters.index(letter) for letter in order]
    return np.squeeze(np.transpose(label.numbers, places + left_out), tuple(range(len(order), len(label.letters))))


def _remaining(graph: CouplingGraph, label: _Named, places: Mapping[str, int], meets_image: bool) -> Label | None:
    """What is left of a label in the result: all of it, nothing, or one number for each of its groups.

    ::

        places {batch: 0, head: 1, row: 2, column: 3}
        (head, sum)  [[0 1] [2 3]]    ->    (head,)  4 5, which stand for the groups {0 1} and {2 3}

    Args:
        graph: learns which elements are only taken together because a letter is contracted.
        label: of an operand.
        places: for each letter of the result its axis.
        meets_image: whether two operands come from the image, as queries and keys do.
    """
    left = [letter for letter in label.letters if letter in places]
    keep = [label.letters.index(letter) for letter in left]
    numbers = label.numbers
    is_contracted = len(left) < len(label.letters)
    if is_contracted and not left:
        if meets_image:
            graph.group(numbers)
        return None
    if is_contracted:
        # A layer that reads a single head sums over all of its inputs: they stay free, and no head is left.
        if not meets_image and all(numbers.shape[axis] == 1 for axis in keep):
            return None
        numbers = _one_per_group(graph, numbers, keep)
    order = sorted(left, key=lambda letter: places[letter])
    numbers = np.transpose(numbers, [left.index(letter) for letter in order])
    return Label(tuple(places[letter] for letter in order), numbers)


def _one_per_group(graph: CouplingGraph, numbers: Numbers, keep: Sequence[int]) -> Numbers:
    """Fresh numbers along the axes ``keep``: each stands for the group of all numbers with that index."""
    graph.group(numbers, keep)
    ordered = np.moveaxis(numbers, list(keep), range(len(keep)))
    fresh = graph.fresh(ordered.shape[: len(keep)])
    graph.join_groups(fresh, ordered.reshape(*fresh.shape, -1)[..., 0])
    return fresh


def _widest(labels: Mapping[tuple[int, ...], Numbers]) -> tuple[Label, ...]:
    """The labels with the most axes; those of some of these axes say nothing more, since groups have been joined."""
    return tuple(
        Label(axes, numbers) for axes, numbers in labels.items() if not any(set(axes) < set(wider) for wider in labels)
    )
