"""Operators on each element alone: activations, arithmetic, comparisons of two tensors."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.operators.table import TABLE, Function, Maker, operator

_ONE: Mapping[str, Function] = {
    "Relu": torch.relu,
    "Sigmoid": torch.sigmoid,
    "Tanh": torch.tanh,
    "Exp": torch.exp,
    "Log": torch.log,
    "Sqrt": torch.sqrt,
    "Neg": torch.neg,
    "Abs": torch.abs,
    "Floor": torch.floor,
    "Ceil": torch.ceil,
    "Round": torch.round,
    "Reciprocal": torch.reciprocal,
    "Erf": torch.erf,
    "Softplus": functional.softplus,
    "Identity": lambda x: x,
}
_MANY: Mapping[str, Function] = {
    "Add": torch.add,
    "Sub": torch.sub,
    "Mul": torch.mul,
    "Pow": torch.pow,
    "Max": torch.maximum,
    "Min": torch.minimum,
    "Sum": torch.add,
}


def _folded(function: Function, *tensors: Tensor) -> Any:
    return functools.reduce(function, tensors)


def _always(function: Function) -> Maker:
    """For operators without settings."""
    return lambda node, graph: function


TABLE |= {name: _always(function) for name, function in _ONE.items()}
TABLE |= {name: _always(functools.partial(_folded, function)) for name, function in _MANY.items()}


@operator("Div")
def _div(node: Node, graph: Graph) -> Function:
    """On integers ONNX drops the fraction."""

    def divide(a: Tensor, b: Tensor) -> Tensor:
        whole = not (a.is_floating_point() or b.is_floating_point())
        return torch.div(a, b, rounding_mode="trunc" if whole else None)

    return divide


@operator("Mod")
def _mod(node: Node, graph: Graph) -> Function:
    """With fmod the result has the sign of the first number, else of the second."""
    return torch.fmod if node.get("fmod", 0) else torch.remainder


@operator("Dropout")
def _dropout(node: Node, graph: Graph) -> Function:
    """In inference it changes nothing."""
    return lambda x, *_: x


@operator("LeakyRelu")
def _leaky_relu(node: Node, graph: Graph) -> Function:
    return functools.partial(functional.leaky_relu, negative_slope=node.get("alpha", 0.01))


@operator("Elu")
def _elu(node: Node, graph: Graph) -> Function:
    return functools.partial(functional.elu, alpha=node.get("alpha", 1.0))


@operator("PRelu")
def _prelu(node: Node, graph: Graph) -> Function:
    """Slopes [C, 1, 1] or [1, C, 1, 1] as exporters write them, one for each channel or for all."""
    slope = graph.constant(node, 1)
    if slope is not None and slope.size in (1, graph.shape(node.inputs[0])[1]):
        return lambda x, slopes: functional.prelu(x, slopes.reshape(-1))
    return lambda x, slopes: torch.relu(x) - slopes * torch.relu(-x)


@operator("Clip")
def _clip(node: Node, graph: Graph) -> Function:
    """Bounds are attributes up to operator set 10, and inputs from 11 on."""
    low, high = graph.setting(node, "min", 1), graph.setting(node, "max", 2)
    bounds = (None if low is None else low[0], None if high is None else high[0])
    if bounds == (0, 6):
        return lambda x, *_: functional.relu6(x)
    return lambda x, *_: torch.clamp(x, *bounds)


@operator("HardSigmoid")
def _hard_sigmoid(node: Node, graph: Graph) -> Function:
    """max(0, min(1, alpha x + beta)); torch's own where the constants are its own."""
    alpha, beta = node.get("alpha", 0.2), node.get("beta", 0.5)
    if abs(alpha - 1 / 6) < 1e-6 and beta == 0.5:
        return functional.hardsigmoid
    return lambda x: torch.clamp(x * alpha + beta, 0, 1)


@operator("HardSwish")
def _hard_swish(node: Node, graph: Graph) -> Function:
    return functional.hardswish


@operator("Gelu")
def _gelu(node: Node, graph: Graph) -> Function:
    return functools.partial(functional.gelu, approximate=node.get("approximate", "none"))


@operator("Cast")
def _cast(node: Node, graph: Graph) -> Function:
    """Whole numbers become int64 and all others float32, whatever their width."""
    whole = {2, 3, 4, 5, 6, 7, 12, 13}  # TensorProto's uint8 to int64, uint32, uint64
    dtype = torch.int64 if node.attributes["to"] in whole else torch.float32
    return lambda x: x.to(dtype)
