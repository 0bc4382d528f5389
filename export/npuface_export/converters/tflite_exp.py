"""Exponentials in integers: ai-edge-quantizer leaves EXP in float, TFLite and the NPUs have it as a table.

The integer kernel reads its table by the quantized value, so it gives exp exactly up to the rounding of its output.
"""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema

from npuface_export.converters.tflite_graph import Graph

_INTEGER_VERSION = 2
"""Of EXP and QUANTIZE: the first that takes integers only (TFLite's register.cc)."""
_LARGEST = 32767
"""Of int16."""


def fuse_exponentials(graph: Graph) -> int:
    """DEQUANTIZE, EXP, QUANTIZE -> one EXP from integers to integers of the same type, wherever they meet.

    From int8 to int16 the EXP is in int8, and the QUANTIZE behind it stays.

    Returns:
        How many were fused. An exponential with a float reader or writer, or between other types, stays as it is.
    """
    makers = {int(tensor): op for op in graph.operators for tensor in op.outputs}
    fused = 0
    for op in graph.operators:
        if graph.operator_name(op) != "EXP":
            continue
        before, after = makers.get(int(op.inputs[0])), _readers(graph, int(op.outputs[0]))
        if (
            before is None
            or not _is(graph, before, "DEQUANTIZE")
            or len(after) != 1
            or not _is(graph, after[0], "QUANTIZE")
        ):
            continue
        entry, leaves = int(before.inputs[0]), int(after[0].outputs[0])
        types = (graph.dtype(entry), graph.dtype(leaves))
        if types == ("int8", "int16"):
            op.inputs = [entry]
            _make_int8(graph, int(op.outputs[0]), leaves)
            graph.raise_version(after[0], _INTEGER_VERSION)
        elif types[0] == types[1]:
            op.inputs, op.outputs = [entry], [leaves]
            graph.remove(after[0])
        else:
            continue
        graph.raise_version(op, _INTEGER_VERSION)
        fused += 1
    if fused:
        graph.drop_unused()
    return fused


def _make_int8(graph: Graph, tensor: int, wide: int) -> None:
    """Let a float tensor that is never negative be int8 over the range that its int16 copy has."""
    made, quantization = graph.tensors[tensor], deepcopy(graph.tensors[wide].quantization)
    quantization.scale = np.array([float(quantization.scale[0]) * _LARGEST / 255], np.float32)
    quantization.zeroPoint = np.array([-128], np.int64)
    made.type, made.quantization = schema.TensorType.INT8, quantization


def _is(graph: Graph, op: Any, name: str) -> bool:
    return graph.operator_name(op) == name


def _readers(graph: Graph, tensor: int) -> list[Any]:
    return [op for op in graph.operators if tensor in op.inputs]
