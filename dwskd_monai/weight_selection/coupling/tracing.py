"""Runs a network once, without values, and learns which axes of which parameters are coupled.

The network runs on PyTorch's meta device, where tensors have shapes and no values, under two modes: one sees each ATen
operation, the other the few functions whose meaning would be lost in their parts. Torch-Pruning's DepGraph (Fang et
al., arXiv 2301.12900) finds coupled dimensions too, from the autograd graph of a real forward pass. But it must be
given the number of heads and the parameters that are not a layer's weight; it splits fused projections, relative
position tables and windows only by rules for each kind of layer; and it looks at one network, while weight selection
has to match two. Symbolic tracing (torch.fx) stops at control flow that depends on shapes.
"""

from __future__ import annotations

import traceback
from collections.abc import Sequence
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from dwskd_monai.weight_selection.coupling import aten_rules, function_rules, operations
from dwskd_monai.weight_selection.coupling.coupling import Coupling
from dwskd_monai.weight_selection.coupling.graph import CouplingGraph
from dwskd_monai.weight_selection.coupling.labels import Label, Labels, Numbers, put_labels
from dwskd_monai.weight_selection.coupling.result import conclude


def trace(network: nn.Module, input_shape: Sequence[int]) -> Coupling:
    """Run ``network`` on an image of ``input_shape`` without values, and find what is coupled.

    Args:
        network: in any mode, on any device; it is not changed and its values are not read.
        input_shape: ``(channels, height, width)`` or ``(channels, *space)``, as the network expects it.

    Raises:
        ValueError: if the network cannot run on such an image, or has an operation without a rule; the message names
            the module.
    """
    graph = CouplingGraph()
    try:
        with torch.inference_mode(False):  # there, operations would not be taken apart into those that have rules
            tensors, numbers = _labeled_tensors(network, graph)
            output = _run(network, tensors, input_shape, graph)
    except Exception as error:  # whatever a network raises
        module = _running_module(network, error.__traceback__)
        raise ValueError(
            f"{type(network).__name__} could not be traced on an image of shape {tuple(input_shape)}, in module "
            f"{module!r}: {type(error).__name__}: {error}"
        ) from error
    return conclude(graph, network.state_dict(), numbers, output)


def _labeled_tensors(network: nn.Module, graph: CouplingGraph) -> tuple[dict[str, Tensor], dict[str, list[Numbers]]]:
    """A tensor without values for each parameter and buffer, and the numbers along each of its axes.

    Tensors that are not in the state dict get no numbers. A tensor with two names has the same numbers under both.
    """
    stored = network.state_dict(keep_vars=True)
    tensors: dict[str, Tensor] = {}
    numbers: dict[str, list[Numbers]] = {}
    first_names: dict[int, str] = {}
    parameters = network.named_parameters(remove_duplicate=False)
    buffers = network.named_buffers(remove_duplicate=False)
    for name, tensor in [*parameters, *buffers]:
        first = first_names.setdefault(id(tensor), name)
        if first != name:
            tensors[name] = tensors[first]
            numbers[name] = numbers[first]
            continue
        numbers[name] = [graph.fresh((length,)) for length in tensor.shape] if name in stored else []
        labels = tuple(Label((axis,), along) for axis, along in enumerate(numbers[name]))
        empty = torch.empty(tensor.shape, dtype=tensor.dtype, device="meta")
        tensors[name] = put_labels(empty, Labels(labels, weight=True, parameter=name))
    return tensors, numbers


def _run(network: nn.Module, tensors: dict[str, Tensor], input_shape: Sequence[int], graph: CouplingGraph) -> Tensor:
    """The output of the network in evaluation mode; its mode is restored."""
    training = [module for module in network.modules() if module.training]
    dtype = next((p.dtype for p in network.parameters() if p.is_floating_point()), torch.float32)
    image = torch.empty((1, *input_shape), device="meta", dtype=dtype)
    try:
        network.eval()
        with torch.no_grad(), _Operations(graph), _Functions(graph):
            output = functional_call(network, tensors, (image,), tie_weights=True)
    finally:
        for module in training:
            module.training = True
    return output[0] if isinstance(output, (tuple, list)) else output


def _running_module(network: nn.Module, raised_at: TracebackType | None) -> str:
    """Name of the innermost module of ``network`` that an error was raised in."""
    names = {id(module): name for name, module in network.named_modules()}
    innermost = ""
    for frame, _ in traceback.walk_tb(raised_at):
        module = frame.f_locals.get("self")
        if isinstance(module, nn.Module) and id(module) in names:
            innermost = names[id(module)]
    return innermost


class _Operations(TorchDispatchMode):
    """Follows labels through ATen operations."""

    def __init__(self, graph: CouplingGraph) -> None:
        super().__init__()
        self._graph = graph

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        if isinstance(result, Tensor) and not result.ndim:
            return result
        rule = aten_rules.RULES.get(func.overloadpacket.__name__)
        if rule is not None:
            labels = rule(self._graph, result, *args, **kwargs)
        elif torch.Tag.pointwise in func.tags:
            operands = [arg for arg in (*args, *kwargs.values()) if isinstance(arg, Tensor)]
            labels = operations.pointwise(self._graph, operands, result.shape)
        else:
            raise NotImplementedError(
                f"no rule for {func}, which gives a {type(result).__name__}; add one to {aten_rules.__file__}"
            )
        if isinstance(result, Tensor):
            return put_labels(result, labels)
        for tensor, tensor_labels in zip(result, labels):
            put_labels(tensor, tensor_labels)
        return result


class _Functions(TorchFunctionMode):
    """Replaces the functions for which :mod:`~.function_rules` has a rule."""

    def __init__(self, graph: CouplingGraph) -> None:
        super().__init__()
        self._graph = graph

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        rule = function_rules.FUNCTIONS.get(func)
        if rule is None:
            # torch leaves this mode while it runs func. If func is written in Python and calls functions that have a
            # rule (F.multi_head_attention_forward), only _Operations follows these, which gives the same elements.
            return func(*args, **kwargs)
        return rule(self._graph, *args, **kwargs)
