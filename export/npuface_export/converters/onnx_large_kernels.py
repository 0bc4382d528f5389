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


def split_large_kernels(model: onnx.ModelProto, limit: int) -> onnx.ModelProto:
    """The model with every convolution whose kernel spans its whole input, and more cells than `limit`, split.

    The input is split along the axis, each part is convolved with its part of the kernel, and the results are added up:
    the same sum in another order. The tensor that the convolution makes keeps its name.

    Args:
        model: float.
        limit: cells that a kernel may have along an axis; the parts have as many, the last one what is left.
    """
    for axis in _AXES:
        model = _split_along(model, axis, limit)
    return model


def _split_along(model: onnx.ModelProto, axis: int, limit: int) -> onnx.ModelProto:
    split = onnx.ModelProto()
    split.CopyFrom(model)
    weights = {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        is_large = node.op_type == "Conv" and _is_large(model, node, weights.get(node.input[1]), axis, limit)
        nodes += _parts(split, node, weights[node.input[1]], axis, limit) if is_large else [node]
    del split.graph.node[:]
    split.graph.node.extend(nodes)
    read = {name for node in nodes for name in node.input}
    kept = [tensor for tensor in split.graph.initializer if tensor.name in read]
    del split.graph.initializer[:]
    split.graph.initializer.extend(kept)
    onnx.checker.check_model(split)
    return shape_inference.infer_shapes(split)


def _is_large(
    model: onnx.ModelProto, node: onnx.NodeProto, kernel: NDArray[np.generic] | None, axis: int, limit: int
) -> bool:
    """Whether a convolution's kernel is over the limit along an axis, and as long as its input there."""
    if kernel is None or kernel.shape[axis] <= limit:
        return False
    pads = next((list(a.ints) for a in node.attribute if a.name == "pads"), [0, 0, 0, 0])
    return kernel.shape[axis] == shape_of(model, node.input[0])[axis] and pads[axis - 2] == pads[axis] == 0


def _parts(
    model: onnx.ModelProto, node: onnx.NodeProto, kernel: NDArray[np.generic], axis: int, limit: int
) -> Iterator[onnx.NodeProto]:
    """What stands for a convolution; its constants go into the model."""
    starts = range(0, kernel.shape[axis], limit)
    kernels = [np.take(kernel, range(start, min(start + limit, kernel.shape[axis])), axis) for start in starts]
    names = [f"{node.name}/{axis}/{number}" for number in range(len(kernels))]
    sizes = np.array([part.shape[axis] for part in kernels], np.int64)
    constants = {f"{node.name}/{axis}/sizes": sizes} | {f"{n}/weight": k for n, k in zip(names, kernels, strict=True)}
    for name, values in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(values), name))
    inputs = [node.input[0], f"{node.name}/{axis}/sizes"]
    yield helper.make_node("Split", inputs, names, f"{node.name}/{axis}/split", axis=axis)
    total = ""
    for name, part in zip(names, kernels, strict=True):
        bias = [] if total else node.input[2:]
        yield _conv(node, [name, f"{name}/weight", *bias], f"{name}/sum", part.shape[2:])
        if total:
            added = node.output[0] if name == names[-1] else f"{name}/total"
            yield helper.make_node("Add", [total, f"{name}/sum"], [added], f"{name}/add")
        total = added if total else f"{name}/sum"


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
