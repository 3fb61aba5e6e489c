"""Runs a network once, without values, and learns which axes of which parameters are coupled.

Channel dimensions are found by running the network on PyTorch's meta device, where tensors have shapes and no values,
under two modes: one sees each ATen operation, the other a few functions whose meaning would be lost or slow to find in
their parts. Torch-Pruning's DepGraph (Fang et al., arXiv 2301.12900) finds groups too, from the autograd graph of a
real forward pass; it must be told the number of heads and of parameters that are no layer's weight, takes fused
projections, relative position tables and windows apart only by rules for each kind of layer, and knows one network,
while weight selection has to match two. Symbolic tracing (torch.fx) stops at control flow that depends on shapes.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dwskd_monai.weight_selection.coupling import aten_rules, combining, function_rules
from dwskd_monai.weight_selection.coupling.labels import Edges, Label, Labels, Numbers, labels_of, put_labels


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
        rule = aten_rules.RULES.get(func.overloadpacket.__name__)
        if rule is not None:
            labels = rule(self._edges, result, *args, **kwargs)
        elif torch.Tag.pointwise in func.tags:
            operands = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor)]
            labels = combining.pointwise(self._edges, operands, result.shape)
        else:
            raise NotImplementedError(
                f"no rule for {func}, which gives a {type(result).__name__}; add one to {aten_rules.__file__}"
            )
        if isinstance(result, Tensor):
            return put_labels(result, labels)
        for tensor, found in zip(result, labels):
            put_labels(tensor, found)
        return result


class _Functions(TorchFunctionMode):
    """Answers what :mod:`~dwskd_monai.weight_selection.coupling.function_rules` has an answer to."""

    def __init__(self, edges: Edges) -> None:
        super().__init__()
        self._edges = edges

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        answer = function_rules.FUNCTIONS.get(func)
        if answer is None:
            return func(*args, **kwargs)
        return answer(self._edges, *args, **kwargs)
