"""Finds which axes of which tensors of a network are one dimension. A wall: nothing else of its modules is public.

- ``tracing``: :func:`trace`, which runs a network once without values, and :class:`Coupling`, its result;
- ``labels``: what is known of a tensor's axes, and what operations said about them;
- ``aten_rules`` and ``function_rules``: what each operation says, in terms of ``combining`` and ``reshaping``.
"""

from dwskd_monai.weight_selection.coupling.labels import Numbers
from dwskd_monai.weight_selection.coupling.tracing import Coupling, trace

__all__ = ["Coupling", "Numbers", "trace"]
