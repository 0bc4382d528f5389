"""Tensors that pass in float from operator to operator in a QDQ model, where everything should be integers."""

from __future__ import annotations

from collections.abc import Collection

import onnx

_ENDS = ("QuantizeLinear", "DequantizeLinear")
_MERGED = ("Relu", "Clip")
"""Operators that engines merge with the one before them: what passes between the two is stored nowhere."""


def left_in_float(model: onnx.ModelProto, kept: Collection[str]) -> tuple[str, ...]:
    """What is exchanged in float although no recipe says so, such as `Softplus -> Tanh`, each pair of kinds once.

    onnxruntime's quantizer leaves operators that it does not know as they are. One alone stands between integers; of
    two in a row the first hands its result to the second in float, which an NPU computes at its discretion, or not.

    Args:
        model: after quantization.
        kept: names of the nodes that are in float because a recipe wants them so.
    """
    floats = {
        value.name for value in model.graph.value_info if value.type.tensor_type.elem_type == onnx.TensorProto.FLOAT
    }
    makers = {name: node for node in model.graph.node for name in node.output}
    found = [
        f"{makers[name].op_type} -> {node.op_type}"
        for node in model.graph.node
        if node.op_type not in (*_ENDS, *_MERGED) and node.name not in kept
        for name in node.input
        if name in floats and name in makers and makers[name].op_type not in _ENDS and makers[name].name not in kept
    ]
    return tuple(dict.fromkeys(found))
