"""What each ATen operation says of the labels of its operands.

``RULES`` has one entry for each operation; pointwise ones need none, since torch marks them. A rule gets the edges, the
operation's result and its arguments, and returns the result's labels (a list where there are several results).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dwskd_monai.weight_selection.coupling import combining, reshaping
from dwskd_monai.weight_selection.coupling.labels import Edges, Labels, labels_of, put_labels


def _first(rule: Callable[..., Labels]) -> Callable[..., list[Labels]]:
    """A rule for the first of several results; the others are statistics that nobody reads."""
    return lambda edges, result, *args, **kwargs: [rule(edges, result[0], *args, **kwargs)]


def _same(edges: Edges, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return labels_of(tensor)


def _nothing(edges: Edges, result: Tensor, *_: Any, **__: Any) -> Labels:
    return Labels(constant=frozenset(range(result.ndim)), weight=True)


def _range(edges: Edges, result: Tensor, *_: Any, **__: Any) -> Labels:
    return Labels(weight=True)


def _view(edges: Edges, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return reshaping.view(edges, tensor, result.shape)


def _resize(edges: Edges, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return reshaping.resize(edges, tensor, result.shape)


def _reduce(edges: Edges, result: Tensor, tensor: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Labels:
    return combining.reduce(edges, tensor, [dim] if isinstance(dim, int) else dim, keepdim)


def _vector_norm(
    edges: Edges, result: Tensor, tensor: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, **_: Any
) -> Labels:
    return _reduce(edges, result, tensor, dim, keepdim)


def _variance(
    edges: Edges, result: Any, tensor: Tensor, dim: Any = None, *, keepdim: bool = False, **_: Any
) -> list[Labels] | Labels:
    labels = _reduce(edges, result, tensor, dim, keepdim)
    return labels if isinstance(result, Tensor) else [labels] * len(result)


def _transpose(edges: Edges, result: Tensor, tensor: Tensor, first: int, second: int) -> Labels:
    order = list(range(tensor.ndim))
    order[first], order[second] = order[second], order[first]
    return reshaping.permute(labels_of(tensor), order)


def _permute(edges: Edges, result: Tensor, tensor: Tensor, dims: Sequence[int]) -> Labels:
    return reshaping.permute(labels_of(tensor), [dim % tensor.ndim for dim in dims])


def _t(edges: Edges, result: Tensor, tensor: Tensor) -> Labels:
    return reshaping.permute(labels_of(tensor), list(range(tensor.ndim))[::-1])


def _split(edges: Edges, result: Sequence[Tensor], tensor: Tensor, sizes: Any, dim: int = 0) -> list[Labels]:
    found, start = [], 0
    for part in result:
        end = start + part.shape[dim]
        found.append(reshaping.pick(tensor, dim, slice(start, end)))
        start = end
    return found


def _unbind(edges: Edges, result: Sequence[Tensor], tensor: Tensor, dim: int = 0) -> list[Labels]:
    return [reshaping.pick(tensor, dim, index) for index in range(len(result))]


def _select(edges: Edges, result: Tensor, tensor: Tensor, dim: int, index: int) -> Labels:
    return reshaping.pick(tensor, dim, index)


def _slice(
    edges: Edges, result: Tensor, tensor: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Labels:
    return reshaping.pick(tensor, dim, slice(start, end, step))


def _cat(edges: Edges, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Labels:
    return reshaping.join(edges, tensors, dim)


def _stack(edges: Edges, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Labels:
    return reshaping.stack(edges, tensors, dim % result.ndim)


def _expand(edges: Edges, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return reshaping.expand(tensor, result.shape)


def _index(edges: Edges, result: Tensor, tensor: Tensor, indices: Sequence[Tensor | None]) -> Labels:
    return reshaping.look_up(edges, tensor, indices)


def _index_select(edges: Edges, result: Tensor, tensor: Tensor, dim: int, index: Tensor) -> Labels:
    return reshaping.look_up(edges, tensor, [None] * (dim % tensor.ndim) + [index])


def layer_norm(
    edges: Edges, result: Tensor, tensor: Tensor, shape: Sequence[int], weight: Any = None, bias: Any = None, *_: Any
) -> Labels:
    """Layer and RMS normalisation of the last axes."""
    axes = range(tensor.ndim - len(shape), tensor.ndim)
    return combining.normalise(edges, tensor, axes, [weight, bias if isinstance(bias, Tensor) else None])


def batch_norm(
    edges: Edges,
    result: Tensor,
    tensor: Tensor,
    weight: Any,
    bias: Any,
    mean: Any = None,
    variance: Any = None,
    *_: Any,
) -> Labels:
    """Batch normalisation: parameters and running statistics run along the channels."""
    return combining.normalise(
        edges, tensor, [1], [p if isinstance(p, Tensor) else None for p in (weight, bias, mean, variance)]
    )


def _group_norm(
    edges: Edges,
    result: Tensor,
    tensor: Tensor,
    weight: Any,
    bias: Any,
    n: int,
    c: int,
    hw: int,
    groups: int,
    eps: float,
) -> Labels:
    channels = labels_of(tensor).along(1)
    if groups > 1 and channels is not None:
        edges.bundle(channels.numbers.reshape(groups, -1), [0], whole=False)
    return combining.normalise(edges, tensor, [1], [weight, bias])


def _convolution(
    edges: Edges,
    result: Tensor,
    tensor: Tensor,
    weight: Tensor,
    bias: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    transposed: bool,
    output_padding: Any,
    groups: int,
) -> Labels:
    if transposed:
        raise NotImplementedError("no rule for transposed convolutions")
    return combining.convolution(edges, tensor, weight, bias, groups)


def matmul(edges: Edges, result: Tensor, first: Tensor, second: Tensor) -> Labels:
    """A product of matrices, vectors, or batches of them."""
    left = [*_batch(first.ndim - 2), "row", "sum"] if first.ndim > 1 else ["sum"]
    right = [*_batch(second.ndim - 2), "sum", "column"] if second.ndim > 1 else ["sum"]
    batch = _batch(max(first.ndim, second.ndim) - 2)
    found = [*batch, *left[len(left) - 2 : -1], *(["column"] if second.ndim > 1 else [])]
    return combining.combine(edges, [first, second], [left, right], found)


def _batch(count: int) -> list[str]:
    """Letters of leading axes, aligned at the right."""
    return [str(axis) for axis in range(count)][::-1]


def _addmm(edges: Edges, result: Tensor, bias: Tensor, first: Tensor, second: Tensor, **_: Any) -> Labels:
    labels = matmul(edges, result, first, second)
    product = put_labels(torch.empty_like(result), labels)
    return combining.pointwise(edges, [product, bias], result.shape)


def _roll(edges: Edges, result: Tensor, tensor: Tensor, shifts: Sequence[int], dims: Sequence[int]) -> Labels:
    return reshaping.roll(tensor, shifts, dims)


# By the names of the operations, since not every release of torch has all of them.
_NAMES: dict[Callable[..., Any], str] = {
    _view: "view _unsafe_view reshape unsqueeze squeeze",
    _same: "alias detach lift_fresh contiguous copy_ _to_copy as_strided_ _softmax _safe_softmax _log_softmax "
    "hardswish hardswish_ hardtanh hardtanh_ elu elu_ leaky_relu leaky_relu_ mish mish_ softplus",
    _nothing: "empty empty_like empty_strided new_empty new_empty_strided scalar_tensor zeros zeros_like new_zeros "
    "ones ones_like new_ones full new_full",
    _range: "arange",
    _resize: "avg_pool2d avg_pool3d _adaptive_avg_pool2d _adaptive_avg_pool3d upsample_nearest2d upsample_bilinear2d "
    "upsample_bicubic2d upsample_trilinear3d constant_pad_nd",
    _first(_resize): "max_pool2d_with_indices max_pool3d_with_indices adaptive_max_pool2d",
    _reduce: "mean sum amax amin logsumexp",
    _vector_norm: "linalg_vector_norm",
    _variance: "var var_mean",
    _transpose: "transpose",
    _permute: "permute",
    _t: "t",
    _split: "split split_with_sizes",
    _unbind: "unbind",
    _select: "select",
    _slice: "slice",
    _cat: "cat",
    _stack: "stack",
    _expand: "expand",
    _index: "index",
    _index_select: "index_select",
    _roll: "roll",
    _first(layer_norm): "native_layer_norm _fused_rms_norm",
    _first(batch_norm): "native_batch_norm _native_batch_norm_legit_no_training cudnn_batch_norm",
    _first(_group_norm): "native_group_norm",
    _convolution: "convolution",
    matmul: "mm bmm",
    _addmm: "addmm",
}
RULES: dict[str, Callable[..., Any]] = {name: rule for rule, names in _NAMES.items() for name in names.split()}
