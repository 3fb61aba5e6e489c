"""What each ATen operation says of the labels of its operands.

``RULES`` has one entry for each operation; pointwise ones need none, since torch marks them. A rule gets the graph, the
operation's result and its arguments, and returns the labels of the result (a list if there are several results).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

from dwskd_monai.weight_selection.coupling import operations, reshaping
from dwskd_monai.weight_selection.coupling.combining import combine
from dwskd_monai.weight_selection.coupling.graph import CouplingGraph
from dwskd_monai.weight_selection.coupling.labels import Labels, labels_of, put_labels


def _first(rule: Callable[..., Labels]) -> Callable[..., list[Labels]]:
    """A rule for the first of several results; the others are statistics that nobody reads."""
    return lambda graph, result, *args, **kwargs: [rule(graph, result[0], *args, **kwargs)]


def _same(graph: CouplingGraph, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return labels_of(tensor)


def _copy(graph: CouplingGraph, result: Tensor, tensor: Tensor, source: Tensor, *_: Any, **__: Any) -> Labels:
    """``source`` is written into ``tensor``, which may be a view of a part of another tensor.

    That other tensor does not learn what was written into its part. So the part keeps the labels that it has there,
    which stand for the same elements as those of ``source``; if it has none, those of ``source`` would be lost.
    """
    before = labels_of(tensor)
    written = labels_of(source)
    if not written.labels and written.constant.issuperset(range(source.ndim)):  # a number
        return before
    if not tensor._is_view():
        return written if source.shape == result.shape else reshaping.expand(source, result.shape)
    if (written.labels and not before.labels) or (before.weight and not written.weight):
        raise NotImplementedError("channels are written into a part of a tensor that has none; join parts by torch.cat")
    operations.pointwise(graph, [tensor, source], result.shape)
    return before


def _constant(graph: CouplingGraph, result: Tensor, *_: Any, **__: Any) -> Labels:
    return Labels(constant=frozenset(range(result.ndim)), weight=True)


def _range(graph: CouplingGraph, result: Tensor, *_: Any, **__: Any) -> Labels:
    return Labels(weight=True)


def _view(graph: CouplingGraph, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return reshaping.view(tensor, result.shape)


def _resize(graph: CouplingGraph, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return reshaping.resize(graph, tensor, result.shape)


def _reduce(
    graph: CouplingGraph, result: Tensor, tensor: Tensor, dim: Any = None, keepdim: bool = False, **_: Any
) -> Labels:
    return operations.reduce(graph, tensor, [dim] if isinstance(dim, int) else dim, keepdim)


def _vector_norm(
    graph: CouplingGraph, result: Tensor, tensor: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, **_: Any
) -> Labels:
    return _reduce(graph, result, tensor, dim, keepdim)


def _variance(
    graph: CouplingGraph, result: Any, tensor: Tensor, dim: Any = None, *, keepdim: bool = False, **_: Any
) -> list[Labels] | Labels:
    labels = _reduce(graph, result, tensor, dim, keepdim)
    return labels if isinstance(result, Tensor) else [labels] * len(result)


def _transpose(graph: CouplingGraph, result: Tensor, tensor: Tensor, first: int, second: int) -> Labels:
    order = list(range(tensor.ndim))
    order[first] = second % tensor.ndim
    order[second] = first % tensor.ndim
    return reshaping.permute(labels_of(tensor), order)


def _permute(graph: CouplingGraph, result: Tensor, tensor: Tensor, dims: Sequence[int]) -> Labels:
    return reshaping.permute(labels_of(tensor), [dim % tensor.ndim for dim in dims])


def _t(graph: CouplingGraph, result: Tensor, tensor: Tensor) -> Labels:
    return reshaping.permute(labels_of(tensor), list(range(tensor.ndim))[::-1])


def _split(graph: CouplingGraph, result: Sequence[Tensor], tensor: Tensor, sizes: Any, dim: int = 0) -> list[Labels]:
    labels = []
    start = 0
    for part in result:
        end = start + part.shape[dim]
        labels.append(reshaping.pick(tensor, dim, slice(start, end)))
        start = end
    return labels


def _unbind(graph: CouplingGraph, result: Sequence[Tensor], tensor: Tensor, dim: int = 0) -> list[Labels]:
    return [reshaping.pick(tensor, dim, index) for index in range(len(result))]


def _select(graph: CouplingGraph, result: Tensor, tensor: Tensor, dim: int, index: int) -> Labels:
    return reshaping.pick(tensor, dim, index)


def _slice(
    graph: CouplingGraph,
    result: Tensor,
    tensor: Tensor,
    dim: int = 0,
    start: Any = None,
    end: Any = None,
    step: int = 1,
) -> Labels:
    return reshaping.pick(tensor, dim, slice(start, end, step))


def _cat(graph: CouplingGraph, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Labels:
    return reshaping.join(graph, [reshaping.Part.of(tensor) for tensor in tensors], dim)


def _stack(graph: CouplingGraph, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Labels:
    return reshaping.stack(graph, tensors, dim % result.ndim)


def _expand(graph: CouplingGraph, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return reshaping.expand(tensor, result.shape)


def _index(graph: CouplingGraph, result: Tensor, tensor: Tensor, indices: Sequence[Tensor | None]) -> Labels:
    return reshaping.look_up(graph, tensor, indices)


def _index_select(graph: CouplingGraph, result: Tensor, tensor: Tensor, dim: int, index: Tensor) -> Labels:
    return reshaping.look_up(graph, tensor, [None] * (dim % tensor.ndim) + [index])


def layer_norm(
    graph: CouplingGraph,
    result: Tensor,
    tensor: Tensor,
    shape: Sequence[int],
    weight: Any = None,
    bias: Any = None,
    *_: Any,
) -> Labels:
    """Layer and RMS normalization of the last axes."""
    axes = range(tensor.ndim - len(shape), tensor.ndim)
    return operations.normalize(graph, tensor, axes, [weight, bias if isinstance(bias, Tensor) else None])


def batch_norm(
    graph: CouplingGraph,
    result: Tensor,
    tensor: Tensor,
    weight: Any,
    bias: Any,
    mean: Any = None,
    variance: Any = None,
    *_: Any,
) -> Labels:
    """Batch normalization: parameters and running statistics run along the channels."""
    return operations.normalize(
        graph, tensor, [1], [p if isinstance(p, Tensor) else None for p in (weight, bias, mean, variance)]
    )


def _group_norm(
    graph: CouplingGraph,
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
        graph.group(channels.numbers.reshape(groups, -1), [0], whole=False)
    return operations.normalize(graph, tensor, [1], [weight, bias])


def _convolution(
    graph: CouplingGraph,
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
    return operations.convolution(graph, tensor, weight, bias, groups)


def matmul(graph: CouplingGraph, result: Tensor, first: Tensor, second: Tensor) -> Labels:
    """A product of matrices, vectors, or batches of them."""
    first_batch = _batch(first.ndim - 2)
    second_batch = _batch(second.ndim - 2)
    batch = max(first_batch, second_batch, key=len)
    rows = ["row"] if first.ndim > 1 else []
    columns = ["column"] if second.ndim > 1 else []
    letters = [[*first_batch, *rows, "sum"], [*second_batch, "sum", *columns]]
    return combine(graph, [first, second], letters, [*batch, *rows, *columns])


def _batch(count: int) -> list[str]:
    """Letters of leading axes, aligned at the right."""
    return [str(axis) for axis in reversed(range(count))]


def _addmm(graph: CouplingGraph, result: Tensor, bias: Tensor, first: Tensor, second: Tensor, **_: Any) -> Labels:
    labels = matmul(graph, result, first, second)
    product = put_labels(torch.empty_like(result), labels)
    return operations.pointwise(graph, [product, bias], result.shape)


def _roll(graph: CouplingGraph, result: Tensor, tensor: Tensor, shifts: Sequence[int], dims: Sequence[int]) -> Labels:
    return reshaping.roll(tensor, shifts, dims)


# By the names of the operations, since not every release of torch has all of them.
_NAMES: dict[Callable[..., Any], str] = {
    _view: "view _unsafe_view unsqueeze squeeze",
    _same: "alias detach lift_fresh _to_copy as_strided_ _softmax _safe_softmax _log_softmax "
    "hardswish hardswish_ hardtanh hardtanh_ elu elu_ leaky_relu leaky_relu_ mish mish_ softplus",
    _copy: "copy_",
    _constant: "empty empty_like empty_strided new_empty new_empty_strided scalar_tensor zeros zeros_like new_zeros "
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
