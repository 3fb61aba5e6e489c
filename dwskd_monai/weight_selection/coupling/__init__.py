"""Finds which axes of which tensors of a network are one dimension.

This package is a wall: :func:`trace`, :class:`Coupling` and ``Numbers`` are all that the rest of the project sees.

- ``coupling``: :class:`Coupling`, the result, with an example of what coupled dimensions are;
- ``tracing``: :func:`trace`, which runs a network once without values;
- ``labels``: which elements the positions along a tensor's axes stand for, while the network runs;
- ``graph``: what the operations say about elements, and what follows from it;
- ``aten_rules`` and ``function_rules``: one rule for each operation;
- ``combining``, ``operations`` and ``reshaping``, from which the rules are made: operations that are an Einstein sum,
  layers and others that are composed of these, and operations that move elements;
- ``result``: what follows for each tensor once the network has run.
"""

from dwskd_monai.weight_selection.coupling.coupling import Coupling
from dwskd_monai.weight_selection.coupling.labels import Numbers
from dwskd_monai.weight_selection.coupling.tracing import trace

__all__ = ["Coupling", "Numbers", "trace"]
