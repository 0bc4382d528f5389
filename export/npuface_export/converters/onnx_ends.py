"""The ends of a QDQ model: float pictures and results, or the integers that they are quantized to."""

from __future__ import annotations

import onnx
from onnx import helper, shape_inference


def integer_ends(model: onnx.ModelProto, outputs: bool = True) -> onnx.ModelProto:
    """The model without the QuantizeLinear at its input and, if asked for, the DequantizeLinear at its outputs.

    An end that is not quantized stays as it is, and so does one whose real values are read in the model, too: an input
    by more than its QuantizeLinear, an output by any operator. A quarter of the bytes enter then, and a half or a
    quarter leave.
    """
    cut = onnx.ModelProto()
    cut.CopyFrom(model)
    types = {info.name: info.type.tensor_type.elem_type for info in _typed(model)}
    for value in cut.graph.input:
        readers = _readers(cut, value.name)
        if [node.op_type for node in readers] == ["QuantizeLinear"]:
            value.type.tensor_type.elem_type = types[readers[0].output[0]]
            _read_instead(cut, readers[0].output[0], value.name)
            cut.graph.node.remove(readers[0])
    ends = {value.name for value in (*cut.graph.input, *cut.graph.output)}
    for value in cut.graph.output if outputs else ():
        (node,) = [n for n in cut.graph.node if value.name in n.output]
        if node.op_type != "DequantizeLinear" or node.input[0] in ends or _readers(cut, value.name):
            continue
        stored = node.input[0]
        cut.graph.node.remove(node)
        (maker,) = [n for n in cut.graph.node if stored in n.output]
        maker.output[:] = [value.name if name == stored else name for name in maker.output]
        value.type.tensor_type.elem_type = types[stored]
        _read_instead(cut, stored, value.name)
    kept = [info for info in cut.graph.value_info if info.name not in ends]
    del cut.graph.value_info[:]
    cut.graph.value_info.extend(kept)
    inferred = shape_inference.infer_shapes(cut)
    onnx.checker.check_model(inferred)
    return inferred


def _typed(model: onnx.ModelProto) -> list[onnx.ValueInfoProto]:
    """Every tensor whose type shape inference finds, or the zero point beside it tells."""
    graph = shape_inference.infer_shapes(model).graph
    constants = {tensor.name: tensor.data_type for tensor in graph.initializer}
    stored = [
        helper.make_tensor_value_info(node.output[0], constants[node.input[2]], None)
        for node in graph.node
        if node.op_type == "QuantizeLinear"
    ]
    return [*graph.value_info, *stored]


def _readers(model: onnx.ModelProto, tensor: str) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if tensor in node.input]


def _read_instead(model: onnx.ModelProto, old: str, new: str) -> None:
    for node in model.graph.node:
        node.input[:] = [new if name == old else name for name in node.input]
