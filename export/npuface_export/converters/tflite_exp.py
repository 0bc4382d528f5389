"""Exponentials in integers: ai-edge-quantizer leaves EXP in float, TFLite and the NPUs have it as a table.

The integer kernel reads its table by the quantized value, so it gives exp exactly up to the rounding of its output.
"""

from __future__ import annotations

from typing import Any

from npuface_export.converters.tflite_graph import Graph

_INTEGER_VERSION = 2
"""Of the operator: the first that takes integers (TFLite's register.cc)."""


def fuse_exponentials(graph: Graph) -> int:
    """DEQUANTIZE, EXP, QUANTIZE -> one EXP from integers to integers of the same type, wherever they meet.

    Returns:
        How many were fused. An exponential with a float reader or writer, or between two types, stays as it is.
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
        if graph.dtype(entry) != graph.dtype(leaves):
            continue
        op.inputs, op.outputs = [entry], [leaves]
        graph.remove(after[0])
        graph.raise_version(op, _INTEGER_VERSION)
        fused += 1
    if fused:
        graph.drop_unused()
    return fused


def _is(graph: Graph, op: Any, name: str) -> bool:
    return graph.operator_name(op) == name


def _readers(graph: Graph, tensor: int) -> list[Any]:
    return [op for op in graph.operators if tensor in op.inputs]
