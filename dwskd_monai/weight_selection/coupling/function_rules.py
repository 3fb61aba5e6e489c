"""Rules for functions of torch that are not traced through their ATen operations.

ATen merges the batch axes of a product, in which a single head would get lost, and splits attention into different
operations on each device. Linear layers and norms are here because torch spends most of a run on the meta device in
their parts. A rule gets the graph and the arguments of the function, and returns what the function would. All other
functions run as usual.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dwskd_monai.weight_selection.coupling import aten_rules, operations
from dwskd_monai.weight_selection.coupling.combining import combine
from dwskd_monai.weight_selection.coupling.graph import CouplingGraph
from dwskd_monai.weight_selection.coupling.labels import Labels, put_labels


def _result(labels: Labels, like: Tensor, shape: Sequence[int]) -> Tensor:
    return put_labels(torch.empty(tuple(shape), dtype=like.dtype, device="meta"), labels)


def _linear(graph: CouplingGraph, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    shape = (*input.shape[:-1], weight.shape[0])
    return _result(operations.linear(graph, input, weight, bias), input, shape)


def _layer_norm(
    graph: CouplingGraph,
    input: Tensor,
    normalized_shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    eps: Any = None,
) -> Tensor:
    labels = aten_rules.layer_norm(graph, input, input, normalized_shape, weight, bias)
    return _result(labels, input, input.shape)


def _batch_norm(
    graph: CouplingGraph,
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    *_: Any,
    **__: Any,
) -> Tensor:
    labels = aten_rules.batch_norm(graph, input, input, weight, bias, running_mean, running_var)
    return _result(labels, input, input.shape)


def _matmul(graph: CouplingGraph, input: Tensor, other: Tensor) -> Tensor:
    batch = torch.broadcast_shapes(input.shape[:-2], other.shape[:-2])
    rows = input.shape[-2:-1]
    columns = other.shape[-1:] if other.ndim > 1 else ()
    result = torch.empty((*batch, *rows, *columns), dtype=input.dtype, device="meta")
    return put_labels(result, aten_rules.matmul(graph, result, input, other))


def _attention(
    graph: CouplingGraph,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    *_: Any,
    **__: Any,
) -> Tensor:
    scores = _matmul(graph, query, key.transpose(-2, -1))
    if attn_mask is not None:
        put_labels(scores, operations.pointwise(graph, [scores, attn_mask], scores.shape))
    return _matmul(graph, scores, value)


def _einsum(graph: CouplingGraph, equation: str, *operands: Any) -> Tensor:
    tensors: list[Tensor] = list(operands[0]) if isinstance(operands[0], (list, tuple)) else list(operands)
    before, after = equation.replace(" ", "").split("->")
    letters = [list(part) for part in before.split(",")]
    lengths: dict[str, int] = {}
    for names, tensor in zip(letters, tensors):
        lengths |= dict(zip(names, tensor.shape))
    labels = combine(graph, tensors, letters, list(after))
    return _result(labels, tensors[0], [lengths[name] for name in after])


FUNCTIONS: dict[Any, Callable[..., Tensor]] = {
    F.linear: _linear,
    F.layer_norm: _layer_norm,
    F.batch_norm: _batch_norm,
    F.scaled_dot_product_attention: _attention,
    torch.einsum: _einsum,
    **dict.fromkeys((torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__), _matmul),
}
