"""QDQ models in which every operator works in one integer type: one of mixed types would run in float on an NPU."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

Constants = Mapping[str, NDArray[np.generic]]
_STEPS = 65535 // 255
"""Steps of uint16 in one of uint8 over the same range, without a remainder: the conversion is exact."""
_WIDENED = "/uint16"
_SCALING = ("Conv", "Gemm", "MatMul")
"""Operators that take their weights in a type of their own."""


def one_type(model: onnx.ModelProto) -> onnx.ModelProto:
    """The model with the same values, in which no operator reads uint8 where it reads or writes uint16.

    What is read is converted to uint16 first, by a QuantizeLinear and a DequantizeLinear. A Relu in front of a
    QuantizeLinear whose zero point is the smallest integer does what that does anyway, and goes.
    """
    made = onnx.ModelProto()
    made.CopyFrom(model)
    _drop_relus(made)
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}
    narrow = _dequantized(made, constants, np.uint8)
    wide = _dequantized(made, constants, np.uint16)
    written = {
        node.input[0]
        for node in made.graph.node
        if node.op_type == "QuantizeLinear" and constants[node.input[2]].dtype == np.uint16
    }
    converted: dict[str, str] = {}
    nodes = []
    for node in made.graph.node:
        is_wide = bool(written.intersection(node.output) or wide.keys() & set(node.input))
        if is_wide and node.op_type not in (*_SCALING, "QuantizeLinear", "DequantizeLinear"):
            for name in [name for name in node.input if name in narrow and name not in converted]:
                converted[name] = name + _WIDENED
                nodes += _conversion(made, narrow[name], constants)
            node.input[:] = [converted.get(name, name) for name in node.input]
        nodes.append(node)
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


def _drop_relus(model: onnx.ModelProto) -> None:
    """Take out the Relus whose only reader is a QuantizeLinear that cuts below zero as well."""
    graph = model.graph
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    for relu in [node for node in graph.node if node.op_type == "Relu"]:
        readers = [node for node in graph.node if relu.output[0] in node.input]
        if [node.op_type for node in readers] != ["QuantizeLinear"]:
            continue
        zero_point = constants[readers[0].input[2]]
        if zero_point == np.iinfo(zero_point.dtype).min:
            readers[0].input[0] = relu.input[0]
            graph.node.remove(relu)


def _dequantized(model: onnx.ModelProto, constants: Constants, kind: type[np.generic]) -> dict[str, onnx.NodeProto]:
    """By the tensor that it makes, every DequantizeLinear of one scale that reads a type."""
    return {
        node.output[0]: node
        for node in model.graph.node
        if node.op_type == "DequantizeLinear"
        and constants[node.input[2]].dtype == kind
        and constants[node.input[2]].size == 1
    }


def _conversion(model: onnx.ModelProto, narrow: onnx.NodeProto, constants: Constants) -> list[onnx.NodeProto]:
    """What makes uint16 of the uint8 that a DequantizeLinear reads: of a constant at once, else by two nodes."""
    stored, scale, zero_point = narrow.input
    name = narrow.output[0]
    wide = [f"{part}{_WIDENED}" for part in (f"{name}/quantized", f"{name}/scale", f"{name}/zero_point")]
    ends = (
        constants[scale].astype(np.float32) / np.float32(_STEPS),
        constants[zero_point].astype(np.uint16) * np.uint16(_STEPS),
    )
    for constant, value in zip(wide[1:], ends, strict=True):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), constant))
    back = helper.make_node("DequantizeLinear", wide, [name + _WIDENED], f"{narrow.name}{_WIDENED}")
    if stored in constants:
        values = constants[stored].astype(np.uint16) * np.uint16(_STEPS)
        model.graph.initializer.append(numpy_helper.from_array(values, wide[0]))
        return [back]
    there = helper.make_node("QuantizeLinear", [name, *wide[1:]], [wide[0]], f"{narrow.name}{_WIDENED}_QuantizeLinear")
    return [there, back]
