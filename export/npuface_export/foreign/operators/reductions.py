"""Reductions over axes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.operators.table import TABLE, Function, operator


def _norm(x: Tensor, dim: tuple[int, ...], keepdim: bool) -> Tensor:
    return torch.sqrt(torch.sum(x * x, dim=dim, keepdim=keepdim))


_REDUCTIONS: dict[str, Callable[..., Any]] = {
    "ReduceSum": torch.sum,
    "ReduceMean": torch.mean,
    "ReduceMax": torch.amax,
    "ReduceMin": torch.amin,
    "ReduceL2": _norm,
}


def _reduce(name: str) -> Callable[[Node, Graph], Function]:
    def make(node: Node, graph: Graph) -> Function:
        axes = graph.setting(node, "axes", 1)
        rank = len(graph.shape(node.inputs[0]))
        if not axes and node.get("noop_with_empty_axes", 0):
            return lambda x, *_: x
        chosen = tuple(sorted(int(axis) % rank for axis in axes or range(rank)))
        keeps = bool(node.get("keepdims", 1))
        return lambda x, *_: _REDUCTIONS[name](x, dim=chosen, keepdim=keeps)

    return make


TABLE |= {name: _reduce(name) for name in _REDUCTIONS}


@operator("Softmax")
def _softmax(node: Node, graph: Graph) -> Function:
    """Up to operator set 12 over all axes from `axis` on at once, from 13 on over the one."""
    shape = graph.shape(node.inputs[0])
    if graph.opset >= 13:
        axis = node.get("axis", -1)
        return lambda x: torch.softmax(x, dim=axis)
    axis = node.get("axis", 1) % len(shape)
    if axis == len(shape) - 1:
        return lambda x: torch.softmax(x, dim=-1)
    return lambda x: torch.softmax(x.flatten(axis), dim=-1).reshape(shape)


@operator("ArgMax")
def _arg_max(node: Node, graph: Graph) -> Function:
    axis, keeps = node.get("axis", 0), bool(node.get("keepdims", 1))
    return lambda x: torch.argmax(x, dim=axis, keepdim=keeps)
