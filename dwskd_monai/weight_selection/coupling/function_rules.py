"""Answers of the functions that networks spend their time in, without running their parts.

A contraction keeps its batch axes here, which ATen merges (a head would get lost where there is only one), and nothing
is computed, not even on the meta device, whose kernels take longer than all rules together. ``FUNCTIONS`` has one entry
for each function; those that are not in it run, and their ATen operations are followed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from dwskd_monai.weight_selection.coupling import aten_rules, combining, reshaping
from dwskd_monai.weight_selection.coupling.labels import Edges, Labels, labels_of, put_labels


def _result(labels: Labels, like: Tensor, shape: Sequence[int]) -> Tensor:
    return put_labels(torch.empty(tuple(shape), dtype=like.dtype, device="meta"), labels)


def _f_linear(edges: Edges, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    shape = (*input.shape[:-1], weight.shape[0])
    return _result(combining.linear(edges, input, weight, bias), input, shape)


def _f_identity(edges: Edges, input: Tensor, *_: Any, **__: Any) -> Tensor:
    return input


def _f_layer_norm(
    edges: Edges, input: Tensor, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: Any = None
) -> Tensor:
    return _result(aten_rules.layer_norm(edges, input, input, normalized_shape, weight, bias), input, input.shape)


def _f_batch_norm(
    edges: Edges,
    input: Tensor,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    *_: Any,
    **__: Any,
) -> Tensor:
    return _result(
        aten_rules.batch_norm(edges, input, input, weight, bias, running_mean, running_var), input, input.shape
    )


def _f_matmul(edges: Edges, input: Tensor, other: Tensor) -> Tensor:
    batch = torch.broadcast_shapes(input.shape[:-2], other.shape[:-2])
    shape = (*batch, *input.shape[-2:-1], *(other.shape[-1:] if other.ndim > 1 else ()))
    probe = torch.empty(shape, dtype=input.dtype, device="meta")
    return put_labels(probe, aten_rules.matmul(edges, probe, input, other))


def _f_attention(
    edges: Edges, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any
) -> Tensor:
    scores = _f_matmul(edges, query, _f_transpose(edges, key, -2, -1))
    if attn_mask is not None:
        put_labels(scores, combining.pointwise(edges, [scores, attn_mask], scores.shape))
    return _f_matmul(edges, scores, value)


def _f_permute(edges: Edges, tensor: Tensor, *dims: Any) -> Tensor:
    order = [dim % tensor.ndim for dim in _spread(dims)]
    return _result(reshaping.permute(labels_of(tensor), order), tensor, [tensor.shape[axis] for axis in order])


def _f_transpose(edges: Edges, tensor: Tensor, first: int, second: int) -> Tensor:
    order = list(range(tensor.ndim))
    order[first], order[second] = order[second], order[first]
    return _f_permute(edges, tensor, order)


def _f_view(edges: Edges, tensor: Tensor, *shape: Any) -> Tensor:
    if isinstance(shape[0], torch.dtype):
        return tensor
    lengths = list(_spread(shape))
    if -1 in lengths:
        lengths[lengths.index(-1)] = tensor.numel() // -math.prod(lengths)
    if math.prod(lengths) != tensor.numel():
        raise ValueError(f"shape {tuple(lengths)} is invalid for a tensor of shape {tuple(tensor.shape)}")
    return _result(reshaping.view(edges, tensor, lengths), tensor, lengths)


def _f_flatten(edges: Edges, tensor: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    start, end = start_dim % tensor.ndim, end_dim % tensor.ndim
    merged = math.prod(tensor.shape[start : end + 1])
    return _f_view(edges, tensor, [*tensor.shape[:start], merged, *tensor.shape[end + 1 :]])


def _spread(arguments: Sequence[Any]) -> Sequence[int]:
    """Arguments that may be given one by one or as one sequence."""
    return arguments[0] if isinstance(arguments[0], (tuple, list)) else arguments


def _f_einsum(edges: Edges, equation: str, *operands: Any) -> Tensor:
    tensors: list[Tensor] = list(operands[0]) if isinstance(operands[0], (list, tuple)) else list(operands)
    before, after = equation.replace(" ", "").split("->")
    letters = [list(part) for part in before.split(",")]
    lengths = {name: n for names, tensor in zip(letters, tensors) for name, n in zip(names, tensor.shape)}
    shape = [lengths[name] for name in after]
    return _result(combining.combine(edges, tensors, letters, list(after)), tensors[0], shape)


def _f_conv(dimensions: int) -> Callable[..., Tensor]:
    def answer(
        edges: Edges,
        input: Tensor,
        weight: Tensor,
        bias: Tensor | None = None,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
    ) -> Tensor:
        kernel = weight.shape[2:]
        stride, dilation = (
            ([v] * dimensions if isinstance(v, int) else list(v)) * dimensions for v in (stride, dilation)
        )
        if isinstance(padding, str):
            pads = [d * (k - 1) if padding == "same" else 0 for k, d in zip(kernel, dilation)]
        else:
            pads = [2 * p for p in ([padding] * dimensions if isinstance(padding, int) else list(padding) * dimensions)]
        space = [
            (n + p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in zip(input.shape[2:], kernel, stride, pads, dilation)
        ]
        if len(space) != dimensions or min(space) < 1 or input.shape[1] != weight.shape[1] * groups:
            raise ValueError(f"input {tuple(input.shape)} does not fit the convolution's weight {tuple(weight.shape)}")
        shape = (input.shape[0], weight.shape[0], *space)
        return _result(combining.convolution(edges, input, weight, bias, groups), input, shape)

    return answer


def _f_pointwise(function: Callable[..., Any]) -> Callable[..., Any]:
    """Two tensors; with anything else the function runs."""

    def answer(edges: Edges, first: Any, second: Any, *more: Any, **options: Any) -> Any:
        if more or options or not (isinstance(first, Tensor) and isinstance(second, Tensor)):
            return function(first, second, *more, **options)
        if first.dtype != second.dtype or not (first.ndim and second.ndim):
            return function(first, second)
        shape = torch.broadcast_shapes(first.shape, second.shape)
        return _result(combining.pointwise(edges, [first, second], shape), first, shape)

    return answer


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    F.linear: _f_linear,
    F.layer_norm: _f_layer_norm,
    F.batch_norm: _f_batch_norm,
    **dict.fromkeys((torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__), _f_matmul),
    F.scaled_dot_product_attention: _f_attention,
    torch.einsum: _f_einsum,
    **{function: _f_pointwise(function) for function in (torch.add, Tensor.add, torch.mul, Tensor.mul)},
    **dict.fromkeys((torch.permute, Tensor.permute), _f_permute),
    **dict.fromkeys((torch.transpose, Tensor.transpose), _f_transpose),
    **dict.fromkeys((torch.reshape, Tensor.reshape, Tensor.view), _f_view),
    **dict.fromkeys((torch.flatten, Tensor.flatten), _f_flatten),
    torch.conv1d: _f_conv(1),
    torch.conv2d: _f_conv(2),
    torch.conv3d: _f_conv(3),
    **dict.fromkeys(
        (
            F.dropout,
            F.gelu,
            F.relu,
            torch.relu,
            Tensor.relu,
            F.silu,
            F.hardswish,
            F.hardsigmoid,
            torch.sigmoid,
            Tensor.sigmoid,
            F.relu6,
            F.elu,
            F.softmax,
            Tensor.softmax,
            torch.softmax,
            F.leaky_relu,
            Tensor.contiguous,
            Tensor.type_as,
        ),
        _f_identity,
    ),
}
