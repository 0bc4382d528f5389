"""Convolutions with kernels over a limit, split into sums of smaller ones that are quantized like everything else.

A vendor's tool that splits them itself, after quantization, has no ranges for the partial sums: they stay in float.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper, shape_inference

from npuface_export.converters.onnx_graph import shape_of

_AXES = (2, 3)


def split_large_kernels(model: onnx.ModelProto, limit: int, piece: int) -> onnx.ModelProto:
    """The model with every convolution whose kernel spans its whole input, and more cells than `limit`, split.

    The input is split along the axis, each part is convolved with its part of the kernel, and the results are added up:
    the same sum in another order. The tensor that the convolution makes keeps its name.

    Args:
        model: float, shapes inferred.
        limit: cells that a kernel may have along an axis.
        piece: cells of a part.
    """
    split = onnx.ModelProto()
    split.CopyFrom(model)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes = [made for node in model.graph.node for made in _split(split, node, weights, limit, piece)]
    del split.graph.node[:]
    split.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in split.graph.initializer if tensor.name in read]
    del split.graph.initializer[:]
    split.graph.initializer.extend(kept)
    onnx.checker.check_model(split)
    return shape_inference.infer_shapes(split)


def _split(
    model: onnx.ModelProto, node: onnx.NodeProto, weights: dict[str, NDArray[np.generic]], limit: int, piece: int
) -> Iterator[onnx.NodeProto]:
    axis = _large_axis(model, node, weights, limit)
    if axis is None:
        yield node
        return
    kernel = weights[node.input[1]]
    sizes = [min(piece, kernel.shape[axis] - start) for start in range(0, kernel.shape[axis], piece)]
    bounds = np.cumsum([0, *sizes])
    parts = [f"{node.name}/{axis}/{number}" for number in range(len(sizes))]
    lengths = numpy_helper.from_array(np.array(sizes, np.int64), f"{node.name}/{axis}/sizes")
    model.graph.initializer.append(lengths)
    yield helper.make_node("Split", [node.input[0], lengths.name], parts, f"{node.name}/{axis}/split", axis=axis)
    total = ""
    for number, part in enumerate(parts):
        own = np.ascontiguousarray(np.take(kernel, range(bounds[number], bounds[number + 1]), axis))
        model.graph.initializer.append(numpy_helper.from_array(own, f"{part}/weight"))
        made = f"{part}/sum"
        bias = list(node.input[2:]) if number == 0 else []
        yield _conv(node, [part, f"{part}/weight", *bias], made, own.shape[2:])
        if total:
            added = node.output[0] if number == len(parts) - 1 else f"{part}/total"
            yield helper.make_node("Add", [total, made], [added], f"{part}/add")
            made = added
        total = made


def _large_axis(
    model: onnx.ModelProto, node: onnx.NodeProto, weights: dict[str, NDArray[np.generic]], limit: int
) -> int | None:
    """The axis along which a convolution's kernel is over the limit and as long as its input; None if there is none."""
    if node.op_type != "Conv" or node.input[1] not in weights:
        return None
    pads = next((list(a.ints) for a in node.attribute if a.name == "pads"), [0, 0, 0, 0])
    for axis in _AXES:
        cells = weights[node.input[1]].shape[axis]
        if cells > limit and cells == shape_of(model, node.input[0])[axis] and not pads[axis - 2] + pads[axis]:
            return axis
    return None


def _conv(node: onnx.NodeProto, inputs: list[str], output: str, kernel: tuple[int, ...]) -> onnx.NodeProto:
    """The same convolution with another kernel."""
    conv = onnx.NodeProto()
    conv.CopyFrom(node)
    conv.name = output
    conv.input[:] = inputs
    conv.output[:] = [output]
    for attribute in conv.attribute:
        if attribute.name == "kernel_shape":
            attribute.ints[:] = kernel
    return conv
