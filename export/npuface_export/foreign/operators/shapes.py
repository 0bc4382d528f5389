"""Operators that move elements: every shape is known beforehand, so most are a reshape to it."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.operators.layers import refused
from npuface_export.foreign.operators.table import Function, operator


@operator("Reshape", "Flatten", "Squeeze", "Unsqueeze")
def _reshape(node: Node, graph: Graph) -> Function:
    shape = graph.shape(node.outputs[0])
    return lambda x, *_: x.reshape(shape)


@operator("Expand")
def _expand(node: Node, graph: Graph) -> Function:
    shape = graph.shape(node.outputs[0])
    return lambda x, *_: x.expand(shape)


@operator("Transpose")
def _transpose(node: Node, graph: Graph) -> Function:
    rank = len(graph.shape(node.inputs[0]))
    order = tuple(node.get("perm", range(rank)[::-1]))
    return lambda x: x.permute(order)


@operator("Concat")
def _concat(node: Node, graph: Graph) -> Function:
    axis = node.get("axis", 1)
    return lambda *xs: torch.cat(xs, dim=axis)


@operator("Split")
def _split(node: Node, graph: Graph) -> Function:
    axis = node.get("axis", 0)
    sizes = [graph.shape(name)[axis] for name in node.outputs]
    return lambda x, *_: torch.split(x, sizes, dim=axis)


@operator("Slice")
def _slice(node: Node, graph: Graph) -> Function:
    """Bounds are attributes up to operator set 9, and inputs from 10 on. Torch takes forward steps only."""
    starts, ends = graph.setting(node, "starts", 1), graph.setting(node, "ends", 2)
    shape = graph.shape(node.inputs[0])
    if starts is None or ends is None:
        raise refused(node, "it says no bounds")
    axes = graph.setting(node, "axes", 3) or list(range(len(starts)))
    steps = graph.setting(node, "steps", 4) or [1] * len(starts)
    if min(steps) < 1:
        raise refused(node, f"its steps are {steps}")
    parts = [slice(None)] * len(shape)
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        parts[axis] = slice(start, min(end, shape[axis]), step)
    return lambda x, *_: x[tuple(parts)]


@operator("Gather")
def _gather(node: Node, graph: Graph) -> Function:
    """By indices that are known beforehand."""
    indices, axis = graph.constant(node, 1), node.get("axis", 0)
    if indices is None:
        raise refused(node, "its indices depend on the picture")
    size, shape = graph.shape(node.inputs[0])[axis], graph.shape(node.outputs[0])
    places = [int(i) % size for i in indices.reshape(-1)]
    run = range(places[0], places[0] + len(places))
    if places == list(run):
        return lambda x, *_: torch.narrow(x, axis, run.start, len(run)).reshape(shape)
    return lambda x, *_: torch.index_select(x, axis, torch.tensor(places)).reshape(shape)


@operator("Pad")
def _pad(node: Node, graph: Graph) -> Function:
    """Amounts are an attribute up to operator set 10, and an input from 11 on."""
    amounts, mode = graph.setting(node, "pads", 1), node.get("mode", "constant")
    rank = len(graph.shape(node.inputs[0]))
    if amounts is None or mode not in ("constant", "reflect", "edge"):
        raise refused(node, f"its mode is {mode!r}")
    axes = [int(axis) % rank for axis in graph.setting(node, "axes", 3) or range(rank)]
    pairs = dict(zip(axes, zip(amounts[: len(axes)], amounts[len(axes) :], strict=True), strict=True))
    if mode != "constant":
        if any(sum(pairs.get(axis, (0, 0))) for axis in range(rank - 2)):
            raise refused(node, f"it pads other axes than height and width by {mode!r}")
        flat = [n for axis in (rank - 1, rank - 2) for n in pairs.get(axis, (0, 0))]
        return lambda x, *_: functional.pad(x, flat, mode="replicate" if mode == "edge" else mode)
    flat = [n for axis in reversed(range(rank)) for n in pairs.get(axis, (0, 0))]
    value = (graph.setting(node, "value", 2) or [0.0])[0]
    return lambda x, *_: functional.pad(x, flat, value=value)


@operator("DepthToSpace")
def _depth_to_space(node: Node, graph: Graph) -> Function:
    block, mode = node.attributes["blocksize"], node.get("mode", "DCR")
    n, channels, height, width = graph.shape(node.inputs[0])
    deep = channels // block**2

    def spread(x: Tensor) -> Tensor:
        if mode == "CRD":
            return functional.pixel_shuffle(x, block)
        parts = x.reshape(n, block, block, deep, height, width).permute(0, 3, 4, 1, 5, 2)
        return parts.reshape(n, deep, height * block, width * block)

    assert math.prod((deep, block, block)) == channels
    return spread
