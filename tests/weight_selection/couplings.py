"""Couplings made by hand, in letters: see :func:`coupling`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from dwskd_monai.weight_selection.coupling import Coupling


def coupling(axes: Mapping[str, Sequence[str]], whole: Sequence[str] = (), thinned: Sequence[str] = ()) -> Coupling:
    """A coupling whose elements are letters.

    Args:
        axes: for each tensor, per axis, its elements: ``a b c``, or ``.`` for an axis that is fixed. Tensors that are
            called weight belong to layers.
        whole: groups that are only taken whole: ``a b``.
        thinned: groups that may lose elements.
    """
    numbers: dict[str, int] = {}
    fixed = set()
    coded = {}
    for name, along in axes.items():
        parts = []
        for axis, letters in enumerate(along):
            if letters == ".":
                fixed.add((name, axis))
                letters = f"{name}:{axis}"
            parts.append(np.array([numbers.setdefault(letter, len(numbers)) for letter in letters.split()]))
        coded[name] = tuple(parts)
    groups = np.arange(len(numbers))
    is_whole = np.zeros(len(numbers), dtype=bool)
    for letters in (*whole, *thinned):
        members = [numbers[letter] for letter in letters.split()]
        groups[members] = members[0]
        is_whole[members[0]] = letters in whole
    layers = frozenset(name for name in axes if name.endswith("weight"))
    return Coupling(coded, groups, is_whole, fixed=frozenset(fixed), layers=layers)
