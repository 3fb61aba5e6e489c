"""Runs a network once, without values, and learns which axes of which parameters are coupled.

Channel dimensions are found by running the network on PyTorch's meta device, where tensors have shapes and no values,
under two modes: one sees each ATen operation, the other a few functions whose meaning would be lost or slow to find in
their parts. Torch-Pruning's DepGraph (Fang et al., arXiv 2301.12900) finds groups too, from the autograd graph of a
real forward pass; it must be told the number of heads and of parameters that are no layer's weight, takes fused
projections, relative position tables and windows apart only by rules for each kind of layer, and knows one network,
while weight selection has to match two. Symbolic tracing (torch.fx) stops at control flow that depends on shapes.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dwskd_monai.weight_selection import operations
from dwskd_monai.weight_selection.labels import Edges, Label, Labels, Numbers, labels_of, put_labels

aten = torch.ops.aten


@dataclass(frozen=True)
class Coupling:
    """Which axes of a network's parameters and buffers belong together.

    Args:
        axes: for each tensor of the state dict, per axis, the elements along it: ``(length,)``, or ``(outputs,
            inputs)`` for the inputs of a grouped convolution, which are others for each group. Equal numbers are one
            element, wherever they occur.
        bundles: for each element, the bundle that it is taken with.
        whole: for each bundle, whether it is taken whole; otherwise every bundle of a dimension may lose as many.
        fixed: tensors and axes that are nobody's channels: positions, the sides of a kernel, the channels of the image.
        image_weights: convolutions that see the image itself.
        layers: weights ``(out, in, …)`` of linear layers and convolutions.
        classifier: weights and biases of the last linear layer, if no other parameter runs along its outputs.
        unused: tensors that have no part in the forward pass.
    """

    axes: dict[str, tuple[Numbers, ...]]
    bundles: Numbers
    whole: NDArray[np.bool_]
    fixed: frozenset[tuple[str, int]]
    image_weights: frozenset[str]
    layers: frozenset[str]
    classifier: frozenset[str]
    unused: frozenset[str]


def trace(network: nn.Module, input_shape: Sequence[int]) -> Coupling:
    """Run ``network`` on an image of ``input_shape`` without values, and tell what is coupled.

    Args:
        network: in any mode, on any device; it is not changed and its values are not read.
        input_shape: ``(channels, height, width)`` or ``(channels, *space)``, as the network expects it.

    Raises:
        ValueError: if the network cannot run on such an image, or has an operation that is not understood; the
            message names the module.
    """
    edges = Edges()
    tensors: dict[str, Tensor] = {}
    seeds: dict[str, list[Numbers]] = {}
    tied: dict[int, str] = {}
    stored = network.state_dict(keep_vars=True)
    for name, tensor in [
        *network.named_parameters(remove_duplicate=False),
        *network.named_buffers(remove_duplicate=False),
    ]:
        first = tied.setdefault(id(tensor), name)
        if first != name:
            tensors[name], seeds[name] = tensors[first], seeds[first]
            continue
        value = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        numbers = [edges.fresh((length,)) for length in tensor.shape] if name in stored else []
        labels = Labels(tuple(Label((axis,), part) for axis, part in enumerate(numbers)), weight=True, parameter=name)
        tensors[name], seeds[name] = put_labels(value, labels), numbers
    training = {module for module in network.modules() if module.training}
    try:
        network.eval()
        dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
        image = torch.empty((1, *input_shape), device="meta", dtype=dtype)
        with torch.no_grad(), _Operations(edges), _Functions(edges):
            output = functional_call(network, tensors, (image,), tie_weights=True)
    except Exception as error:  # whatever a network raises
        where = _running_module(network, error.__traceback__)
        raise ValueError(
            f"{type(network).__name__} could not be followed on an image of shape {tuple(input_shape)}, in module "
            f"{where!r}: {type(error).__name__}: {error}"
        ) from error
    finally:
        for module in training:
            module.training = True
    return _coupling(network, edges, seeds, output[0] if isinstance(output, (tuple, list)) else output)


def _coupling(network: nn.Module, edges: Edges, seeds: dict[str, list[Numbers]], output: Tensor) -> Coupling:
    known = edges.known()
    unused = {name for name, numbers in seeds.items() if numbers and not any(known[axis].any() for axis in numbers)}
    for numbers in seeds.values():
        for axis in numbers:
            if not known[axis].any():  # said of by no operation: positions, the side of a kernel, a tensor without use
                edges.bundle(axis)
    elements, bundles, whole = edges.components()
    axes: dict[str, tuple[Numbers, ...]] = {}
    same: dict[tuple[tuple[int, ...], bytes], Numbers] = {}
    for name in network.state_dict():
        found = [elements[numbers] for numbers in seeds[name]]
        if name in edges.inputs:
            found[1] = elements[edges.inputs[name]]
        # equal axes are one array, which spares whoever compares them
        axes[name] = tuple(same.setdefault((part.shape, part.tobytes()), part) for part in found)
    return Coupling(
        axes,
        bundles,
        whole,
        _fixed(axes, bundles, whole, edges.image_weights),
        frozenset(edges.image_weights),
        frozenset(edges.layers),
        _classifier(axes, elements, edges.layers, output),
        frozenset(unused),
    )


def _classifier(
    axes: dict[str, tuple[Numbers, ...]], elements: Numbers, layers: set[str], output: Tensor
) -> frozenset[str]:
    """Weights and biases of the layers whose outputs are the network's, if nothing else runs along these."""
    logits = labels_of(output).along(1)
    if logits is None:
        return frozenset()
    wanted = np.zeros(len(elements), dtype=bool)
    wanted[elements[logits.numbers]] = True
    found = {name for name, parts in axes.items() if any(wanted[numbers].any() for numbers in parts)}
    ends = {f"{name.removesuffix('weight')}{tensor}" for name in layers & found for tensor in ("weight", "bias")}
    return frozenset(found) if found <= ends else frozenset()


def _fixed(
    axes: dict[str, tuple[Numbers, ...]], bundles: Numbers, whole: NDArray[np.bool_], image_weights: set[str]
) -> frozenset[tuple[str, int]]:
    """Axes that are one whole bundle and share it with no other axis."""
    single: dict[tuple[str, int], int] = {}
    occurs = np.zeros(len(whole), dtype=np.int64)
    for name, parts in axes.items():
        for axis, numbers in enumerate(parts):
            found = bundles[numbers]
            if found.size and whole[found.flat[0]] and (found == found.flat[0]).all():
                single[name, axis] = int(found.flat[0])
                occurs[found.flat[0]] += 1
            else:
                occurs[found] += 2  # in an axis with others
    return frozenset(
        {place for place, bundle in single.items() if occurs[bundle] == 1} | {(name, 1) for name in image_weights}
    )


def _running_module(network: nn.Module, trace: TracebackType | None) -> str:
    """Name of the innermost module of ``network`` that an error was raised in."""
    names = {id(module): name for name, module in network.named_modules()}
    found = ""
    for frame, _ in traceback.walk_tb(trace):
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module) and id(module) in names:
            found = names[id(module)]
    return found


class _Operations(TorchDispatchMode):
    """Follows labels through ATen operations."""

    def __init__(self, edges: Edges) -> None:
        super().__init__()
        self._edges = edges

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and not result.ndim:
            return result
        rule = RULES.get(func.overloadpacket)
        if rule is not None:
            labels = rule(self._edges, result, *args, **kwargs)
        elif torch.Tag.pointwise in func.tags:
            operands = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor)]
            labels = operations.pointwise(self._edges, operands, result.shape)
        else:
            raise NotImplementedError(
                f"no rule for {func}; add one to dwskd_monai/weight_selection/tracing.py ({type(result).__name__})"
            )
        if isinstance(result, Tensor):
            return put_labels(result, labels)
        for tensor, found in zip(result, labels):
            put_labels(tensor, found)
        return result


def _first(rule: Callable[..., Labels]) -> Callable[..., list[Labels]]:
    """A rule for the first of several results; the others are statistics that nobody reads."""
    return lambda edges, result, *args, **kwargs: [rule(edges, result[0], *args, **kwargs)]


def _same(edges: Edges, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return labels_of(tensor)


def _nothing(edges: Edges, result: Tensor, *_: Any, **__: Any) -> Labels:
    return Labels(constant=frozenset(range(result.ndim)), weight=True)


def _view(edges: Edges, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return operations.view(edges, tensor, result.shape)


def _resize(edges: Edges, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return operations.resize(edges, tensor, result.shape)


def _reduce(edges: Edges, result: Tensor, tensor: Tensor, dim: Any = None, keepdim: bool = False, **_: Any) -> Labels:
    return operations.reduce(edges, tensor, [dim] if isinstance(dim, int) else dim, keepdim, result.shape)


def _vector_norm(
    edges: Edges, result: Tensor, tensor: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, **_: Any
) -> Labels:
    return _reduce(edges, result, tensor, dim, keepdim)


def _variance(
    edges: Edges, result: Any, tensor: Tensor, dim: Any = None, *, keepdim: bool = False, **_: Any
) -> list[Labels] | Labels:
    if isinstance(result, Tensor):
        return _reduce(edges, result, tensor, dim, keepdim)
    return [_reduce(edges, part, tensor, dim, keepdim) for part in result]


def _transpose(edges: Edges, result: Tensor, tensor: Tensor, first: int, second: int) -> Labels:
    order = list(range(tensor.ndim))
    order[first], order[second] = order[second], order[first]
    return operations.permute(labels_of(tensor), order)


def _permute(edges: Edges, result: Tensor, tensor: Tensor, dims: Sequence[int]) -> Labels:
    return operations.permute(labels_of(tensor), [dim % tensor.ndim for dim in dims])


def _t(edges: Edges, result: Tensor, tensor: Tensor) -> Labels:
    return operations.permute(labels_of(tensor), list(range(tensor.ndim))[::-1])


def _split(edges: Edges, result: Sequence[Tensor], tensor: Tensor, sizes: Any, dim: int = 0) -> list[Labels]:
    found, start = [], 0
    for part in result:
        end = start + part.shape[dim]
        found.append(operations.pick(tensor, dim, slice(start, end)))
        start = end
    return found


def _unbind(edges: Edges, result: Sequence[Tensor], tensor: Tensor, dim: int = 0) -> list[Labels]:
    return [operations.pick(tensor, dim, index) for index in range(len(result))]


def _select(edges: Edges, result: Tensor, tensor: Tensor, dim: int, index: int) -> Labels:
    return operations.pick(tensor, dim, index)


def _slice(
    edges: Edges, result: Tensor, tensor: Tensor, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Labels:
    return operations.pick(tensor, dim, slice(start, end, step))


def _cat(edges: Edges, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Labels:
    return operations.join(edges, tensors, dim)


def _stack(edges: Edges, result: Tensor, tensors: Sequence[Tensor], dim: int = 0) -> Labels:
    return operations.stack(edges, tensors, dim % result.ndim)


def _expand(edges: Edges, result: Tensor, tensor: Tensor, *_: Any, **__: Any) -> Labels:
    return operations.expand(tensor, result.shape)


def _index(edges: Edges, result: Tensor, tensor: Tensor, indices: Sequence[Tensor | None]) -> Labels:
    return operations.look_up(edges, tensor, indices)


def _index_select(edges: Edges, result: Tensor, tensor: Tensor, dim: int, index: Tensor) -> Labels:
    return operations.look_up(edges, tensor, [None] * (dim % tensor.ndim) + [index])


def _layer_norm(
    edges: Edges, result: Tensor, tensor: Tensor, shape: Sequence[int], weight: Any = None, bias: Any = None, *_: Any
) -> Labels:
    axes = range(tensor.ndim - len(shape), tensor.ndim)
    return operations.normalise(edges, tensor, axes, [weight, bias if isinstance(bias, Tensor) else None])


def _batch_norm(
    edges: Edges,
    result: Tensor,
    tensor: Tensor,
    weight: Any,
    bias: Any,
    mean: Any = None,
    variance: Any = None,
    *_: Any,
) -> Labels:
    return operations.normalise(
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
    return operations.normalise(edges, tensor, [1], [weight, bias])


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
    return operations.convolution(edges, tensor, weight, bias, groups, result.shape)


def _matmul(edges: Edges, result: Tensor, first: Tensor, second: Tensor) -> Labels:
    left = [*_batch(first.ndim - 2), "row", "sum"] if first.ndim > 1 else ["sum"]
    right = [*_batch(second.ndim - 2), "sum", "column"] if second.ndim > 1 else ["sum"]
    batch = _batch(max(first.ndim, second.ndim) - 2)
    found = [*batch, *left[len(left) - 2 : -1], *(["column"] if second.ndim > 1 else [])]
    return operations.combine(edges, [first, second], [left, right], found, result.shape)


def _batch(count: int) -> list[str]:
    """Letters of leading axes, aligned at the right."""
    return [str(axis) for axis in range(count)][::-1]


def _addmm(edges: Edges, result: Tensor, bias: Tensor, first: Tensor, second: Tensor, **_: Any) -> Labels:
    labels = _matmul(edges, result, first, second)
    product = put_labels(torch.empty_like(result), labels)
    return operations.pointwise(edges, [product, bias], result.shape)


def _roll(edges: Edges, result: Tensor, tensor: Tensor, shifts: Sequence[int], dims: Sequence[int]) -> Labels:
    return operations.roll(tensor, shifts, dims)


RULES: dict[Any, Callable[..., Any]] = {
    **dict.fromkeys((aten.view, aten._unsafe_view, aten.reshape, aten.unsqueeze, aten.squeeze), _view),
    **dict.fromkeys(
        (
            aten.alias,
            aten.detach,
            aten._to_copy,
            aten.lift_fresh,
            aten._softmax,
            aten._safe_softmax,
            aten._log_softmax,
            aten.as_strided_,
            aten.hardswish_,
            aten.contiguous,
            aten.copy_,
        ),
        _same,
    ),
    **dict.fromkeys(
        (
            aten.empty,
            aten.zeros,
            aten.ones,
            aten.full,
            aten.zeros_like,
            aten.ones_like,
            aten.new_zeros,
            aten.new_ones,
            aten.new_empty,
            aten.empty_like,
            aten.empty_strided,
            aten.new_empty_strided,
            aten.scalar_tensor,
            aten.new_full,
        ),
        _nothing,
    ),
    aten.arange: lambda edges, result, *args, **kwargs: Labels(weight=True),
    **dict.fromkeys(
        (
            aten.avg_pool2d,
            aten.avg_pool3d,
            aten._adaptive_avg_pool2d,
            aten._adaptive_avg_pool3d,
            aten.constant_pad_nd,
            aten.upsample_bilinear2d,
            aten.upsample_nearest2d,
            aten.upsample_bicubic2d,
            aten.upsample_trilinear3d,
        ),
        _resize,
    ),
    **dict.fromkeys(
        (aten.max_pool2d_with_indices, aten.max_pool3d_with_indices, aten.adaptive_max_pool2d), _first(_resize)
    ),
    **dict.fromkeys((aten.mean, aten.sum, aten.amax, aten.amin, aten.logsumexp), _reduce),
    aten.linalg_vector_norm: _vector_norm,
    **dict.fromkeys((aten.var, aten.var_mean), _variance),
    aten.transpose: _transpose,
    aten.permute: _permute,
    aten.t: _t,
    **dict.fromkeys((aten.split, aten.split_with_sizes), _split),
    aten.unbind: _unbind,
    aten.select: _select,
    aten.slice: _slice,
    aten.cat: _cat,
    aten.stack: _stack,
    aten.expand: _expand,
    aten.index: _index,
    aten.index_select: _index_select,
    **dict.fromkeys((aten.native_layer_norm, aten._fused_rms_norm), _first(_layer_norm)),
    **dict.fromkeys(
        (aten.native_batch_norm, aten._native_batch_norm_legit_no_training, aten.cudnn_batch_norm), _first(_batch_norm)
    ),
    aten.native_group_norm: _first(_group_norm),
    aten.convolution: _convolution,
    **dict.fromkeys((aten.mm, aten.bmm), _matmul),
    aten.addmm: _addmm,
    aten.roll: _roll,
}


class _Functions(TorchFunctionMode):
    """Answers the functions that networks spend their time in without running their parts.

    A contraction keeps its batch axes here, which ATen merges (a head would get lost where there is only one), and
    nothing is computed, not even on the meta device, whose kernels take longer than all rules together.
    """

    def __init__(self, edges: Edges) -> None:
        super().__init__()
        self._edges = edges

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        answer = FUNCTIONS.get(func)
        if answer is None:
            return func(*args, **kwargs)
        return answer(self._edges, *args, **kwargs)


def _result(labels: Labels, like: Tensor, shape: Sequence[int]) -> Tensor:
    return put_labels(torch.empty(tuple(shape), dtype=like.dtype, device="meta"), labels)


def _f_linear(edges: Edges, input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    shape = (*input.shape[:-1], weight.shape[0])
    return _result(operations.linear(edges, input, weight, bias, shape), input, shape)


def _f_identity(edges: Edges, input: Tensor, *_: Any, **__: Any) -> Tensor:
    return input


def _f_layer_norm(
    edges: Edges, input: Tensor, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: Any = None
) -> Tensor:
    return _result(_layer_norm(edges, input, input, normalized_shape, weight, bias), input, input.shape)


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
    return _result(_batch_norm(edges, input, input, weight, bias, running_mean, running_var), input, input.shape)


def _f_matmul(edges: Edges, input: Tensor, other: Tensor) -> Tensor:
    batch = torch.broadcast_shapes(input.shape[:-2], other.shape[:-2])
    shape = (*batch, *input.shape[-2:-1], *(other.shape[-1:] if other.ndim > 1 else ()))
    probe = torch.empty(shape, dtype=input.dtype, device="meta")
    return put_labels(probe, _matmul(edges, probe, input, other))


def _f_attention(
    edges: Edges, query: Tensor, key: Tensor, value: Tensor, attn_mask: Tensor | None = None, *_: Any, **__: Any
) -> Tensor:
    scores = _f_matmul(edges, query, _f_transpose(edges, key, -2, -1))
    if attn_mask is not None:
        put_labels(scores, operations.pointwise(edges, [scores, attn_mask], scores.shape))
    return _f_matmul(edges, scores, value)


def _f_permute(edges: Edges, tensor: Tensor, *dims: Any) -> Tensor:
    order = [dim % tensor.ndim for dim in _spread(dims)]
    return _result(operations.permute(labels_of(tensor), order), tensor, [tensor.shape[axis] for axis in order])


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
    return _result(operations.view(edges, tensor, lengths), tensor, lengths)


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
    return _result(operations.combine(edges, tensors, letters, list(after), shape), tensors[0], shape)


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
        return _result(operations.convolution(edges, input, weight, bias, groups, shape), input, shape)

    return answer


FUNCTIONS: dict[Any, Callable[..., Any]] = {
    F.linear: _f_linear,
    F.layer_norm: _f_layer_norm,
    F.batch_norm: _f_batch_norm,
    **dict.fromkeys((torch.matmul, torch.bmm, Tensor.matmul, Tensor.bmm, Tensor.__matmul__), _f_matmul),
    F.scaled_dot_product_attention: _f_attention,
    torch.einsum: _f_einsum,
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
