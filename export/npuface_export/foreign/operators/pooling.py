"""Pooling."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.operators.layers import padded, refused, sides
from npuface_export.foreign.operators.table import Function, operator


def _window(node: Node, graph: Graph) -> tuple[list[int], list[int], list[int], list[int]]:
    """Kernel, strides, dilations and padding (top, left, bottom, right), what ceil_mode adds included."""
    kernel = list(node.attributes["kernel_shape"])
    if len(kernel) != 2:
        raise refused(node, f"its kernel {kernel} is not two-dimensional")
    strides, dilations = list(node.get("strides", [1, 1])), list(node.get("dilations", [1, 1]))
    pads = sides(node, graph, kernel, strides, dilations)
    if node.get("ceil_mode", 0):
        size, made = graph.shape(node.inputs[0])[2:], graph.shape(node.outputs[0])[2:]
        for axis in range(2):
            reach = (made[axis] - 1) * strides[axis] + dilations[axis] * (kernel[axis] - 1) + 1
            pads[axis + 2] = max(pads[axis + 2], reach - size[axis] - pads[axis])
    return kernel, strides, dilations, pads


@operator("MaxPool")
def _max_pool(node: Node, graph: Graph) -> Function:
    if len(node.outputs) > 1:
        raise refused(node, "it gives the places of the maxima too")
    kernel, strides, dilations, pads = _window(node, graph)
    inner = tuple(pads[:2]) if pads[:2] == pads[2:] and _fits(pads, kernel) else None

    def pool(x: Tensor) -> Tensor:
        if inner is None:
            x = padded(x, pads, -torch.inf)
        return functional.max_pool2d(x, tuple(kernel), tuple(strides), inner or 0, tuple(dilations))

    return pool


@operator("AveragePool")
def _average_pool(node: Node, graph: Graph) -> Function:
    """Where padding does not count, the mean over what lies inside: the sum of a window over its inner cells."""
    kernel, strides, _, pads = _window(node, graph)
    if node.get("dilations", [1, 1]) != [1, 1]:
        raise refused(node, "it has dilations")
    counts = bool(node.get("count_include_pad", 0))
    if counts and node.get("ceil_mode", 0):
        raise refused(node, "it counts padding and rounds its size up")
    if pads[:2] == pads[2:] and _fits(pads, kernel):
        inner = (pads[0], pads[1])
        return lambda x: functional.avg_pool2d(x, tuple(kernel), tuple(strides), inner, False, counts)
    inside = padded(torch.ones(1, 1, *graph.shape(node.inputs[0])[2:]), pads)
    share = functional.avg_pool2d(inside, tuple(kernel), tuple(strides))

    def pool(x: Tensor) -> Tensor:
        mean = functional.avg_pool2d(padded(x, pads), tuple(kernel), tuple(strides))
        return mean if counts else mean / share

    return pool


@operator("GlobalAveragePool")
def _global_average_pool(node: Node, graph: Graph) -> Function:
    return lambda x: x.mean(dim=(2, 3), keepdim=True)


@operator("GlobalMaxPool")
def _global_max_pool(node: Node, graph: Graph) -> Function:
    return lambda x: x.amax(dim=(2, 3), keepdim=True)


def _fits(pads: Sequence[int], kernel: Sequence[int]) -> bool:
    """Torch pads by half a kernel at most."""
    return all(2 * pad <= k for pad, k in zip(pads[:2], kernel, strict=True))
