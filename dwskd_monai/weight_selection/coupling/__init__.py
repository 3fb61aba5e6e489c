"""Finds which axes of which tensors of a network are one dimension.

This package is a wall: :func:`trace`, :class:`Coupling` and ``Numbers`` are all that the rest of the project sees.

- ``coupling``: :class:`Coupling`, the result, with an example of what coupled dimensions are;
- ``tracing``: :func:`trace`, which runs a network once without values;
- ``labels``: which elements the positions along a tensor's axes stand for, while the network runs;
- ``graph``: what operations say about elements, and what follows from all of it;
- ``aten_rules`` and ``function_rules``: one rule for each operation;
- ``combining``: operations that are an Einstein sum, ``operations``: layers and others made of it, ``reshaping``:
  operations that move elements; the rules are made of these;
- ``result``: what follows for each tensor when the network has run.
"""

from dwskd_monai.weight_selection.coupling.coupling import Coupling
from dwskd_monai.weight_selection.coupling.labels import Numbers
from dwskd_monai.weight_selection.coupling.tracing import trace

__all__ = ["Coupling", "Numbers", "trace"]
