"""Layers with weights."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.operators.table import Function, operator
from npuface_runtime.errors import UserError


def sides(
    node: Node, graph: Graph, kernel: Sequence[int], strides: Sequence[int], dilations: Sequence[int]
) -> list[int]:
    """Padding (top, left, bottom, right) of a window operator, auto_pad worked out for the input's shape."""
    mode = node.get("auto_pad", "NOTSET")
    if mode == "VALID":
        return [0, 0, 0, 0]
    if mode == "NOTSET":
        return list(node.get("pads", [0, 0, 0, 0]))
    first, last = [], []
    for size, k, s, d in zip(graph.shape(node.inputs[0])[2:], kernel, strides, dilations, strict=True):
        total = max((-(-size // s) - 1) * s + d * (k - 1) + 1 - size, 0)
        less, more = total // 2, total - total // 2
        first.append(less if mode == "SAME_UPPER" else more)
        last.append(more if mode == "SAME_UPPER" else less)
    return first + last


def padded(x: Tensor, pads: Sequence[int], value: float = 0.0) -> Tensor:
    """Pads (top, left, bottom, right) around the last two axes."""
    top, left, bottom, right = pads
    return functional.pad(x, (left, right, top, bottom), value=value)


@operator("Conv")
def _conv(node: Node, graph: Graph) -> Function:
    """Two spatial axes; padding that differs between two sides is made apart."""
    kernel = graph.shape(node.inputs[1])[2:]
    if len(kernel) != 2:
        raise refused(node, f"its kernel {list(kernel)} is not two-dimensional")
    strides, dilations = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    pads, groups = sides(node, graph, kernel, strides, dilations), node.get("group", 1)
    same = pads[:2] == pads[2:]

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        inner = tuple(pads[:2]) if same else (0, 0)
        x = x if same else padded(x, pads)
        return functional.conv2d(x, weight, bias, tuple(strides), inner, tuple(dilations), groups)

    return convolve


@operator("ConvTranspose")
def _conv_transpose(node: Node, graph: Graph) -> Function:
    """The output's own shape tells the padding: pads, auto_pad and output_shape all come to what is cut off."""
    kernel = graph.shape(node.inputs[1])[2:]
    strides, dilations = node.get("strides", [1, 1]), node.get("dilations", [1, 1])
    extra, size = node.get("output_padding", [0, 0]), graph.shape(node.inputs[0])[2:]
    full = [
        (n - 1) * s + d * (k - 1) + 1 + e for n, s, d, k, e in zip(size, strides, dilations, kernel, extra, strict=True)
    ]
    height, width = graph.shape(node.outputs[0])[2:]
    cut = [full[0] - height, full[1] - width]
    mode = node.get("auto_pad", "NOTSET")
    if mode == "NOTSET" and "output_shape" not in node.attributes:
        top, left = node.get("pads", [0, 0, 0, 0])[:2]
    else:
        top, left = (c // 2 if mode != "SAME_LOWER" else c - c // 2 for c in cut)
    even = 2 * top == cut[0] and 2 * left == cut[1]
    groups = node.get("group", 1)

    def convolve(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        inner = (top, left) if even else (0, 0)
        y = functional.conv_transpose2d(x, weight, bias, tuple(strides), inner, tuple(extra), groups, tuple(dilations))
        return y if even else y[:, :, top : top + height, left : left + width]

    return convolve


@operator("BatchNormalization")
def _batch_norm(node: Node, graph: Graph) -> Function:
    epsilon = node.get("epsilon", 1e-5)
    return lambda x, scale, bias, mean, var: functional.batch_norm(x, mean, var, scale, bias, False, 0.0, epsilon)


@operator("InstanceNormalization")
def _instance_norm(node: Node, graph: Graph) -> Function:
    epsilon = node.get("epsilon", 1e-5)
    return lambda x, scale, bias: functional.instance_norm(x, weight=scale, bias=bias, eps=epsilon)


@operator("Gemm")
def _gemm(node: Node, graph: Graph) -> Function:
    alpha, beta = node.get("alpha", 1.0), node.get("beta", 1.0)
    flip_a, flip_b = node.get("transA", 0), node.get("transB", 0)

    def multiply(a: Tensor, b: Tensor, c: Tensor | None = None) -> Tensor:
        a, b = (a.T if flip_a else a), (b.T if flip_b else b)
        product = torch.matmul(a, b) if alpha == 1 else torch.matmul(a, b) * alpha
        return product if c is None else product + (c if beta == 1 else c * beta)

    return multiply


@operator("MatMul")
def _matmul(node: Node, graph: Graph) -> Function:
    return torch.matmul


def refused(node: Node, why: str) -> UserError:
    """The refusal of a node whose operator is known and whose setting is not."""
    what = f"cannot take the operator {node.operator} of the node {node.name!r}"
    return UserError(what, why, "export the model with plain operators")
