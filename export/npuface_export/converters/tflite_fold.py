"""A fixed shift and relu behind the heatmaps, folded into the convolution that draws them.

Compilers fuse neither an INT8 subtraction nor a relu that has a scale of its own into the operator in front: each costs
a pass over every map. In the convolution's bias and in its activation they cost nothing, and round once less.
"""

from __future__ import annotations

from copy import copy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from npuface_export.converters.tflite_graph import Graph

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_SIGNS = {"ADD": 1, "SUB": -1}
_PLAIN = schema.ActivationFunctionType.NONE


def fold_shift(graph: Graph, name: str) -> bool:
    """Fold the only reader of a float convolution's output into the convolution, if it adds or subtracts a constant.

    The tensor keeps its name and holds the shifted values afterwards, rectified if the reader did that.

    Args:
        graph: changed in place.
        name: of the tensor that the convolution writes.

    Returns:
        Whether anything was folded.
    """
    tensor = graph.by_name(name)
    if tensor is None or tensor in graph.outputs:
        return False
    convolution, shift = _producer(graph, tensor), _only_reader(graph, tensor)
    if convolution is None or shift is None:
        return False
    bias, channels = int(convolution.inputs[2]), graph.shape(tensor)[-1]
    constant = _constant(graph, shift, tensor, channels)
    if constant is None or bias < 0:
        return False
    shifted = graph.values(bias) + _SIGNS[graph.operator_name(shift)] * constant
    convolution.inputs = [*convolution.inputs[:2], _add_constant(graph, bias, shifted.astype(np.float32))]
    convolution.builtinOptions.fusedActivationFunction = shift.builtinOptions.fusedActivationFunction
    result = int(shift.outputs[0])
    graph.replace_tensor(result, tensor)
    graph.end_at(tensor if graph.outputs == [result] else graph.outputs[0])
    return True


def _producer(graph: Graph, tensor: int) -> Any:
    """The convolution without an activation that writes a tensor; None if something else does."""
    found = next((operator for operator in graph.operators if tensor in operator.outputs), None)
    if found is None or graph.operator_name(found) not in _CONVOLUTIONS or len(found.inputs) < 3:
        return None
    return found if found.builtinOptions.fusedActivationFunction == _PLAIN else None


def _only_reader(graph: Graph, tensor: int) -> Any:
    """The one operator that reads a tensor, if it adds or subtracts; else None."""
    readers = [operator for operator in graph.operators if tensor in operator.inputs]
    return readers[0] if len(readers) == 1 and graph.operator_name(readers[0]) in _SIGNS else None


def _constant(graph: Graph, shift: Any, tensor: int, channels: int) -> NDArray[np.float32] | None:
    """What is added to a tensor or subtracted from it, a number a channel at most; None where it is something else."""
    first, second = (int(i) for i in shift.inputs)
    other = second if first == tensor else first
    is_reversed = graph.operator_name(shift) == "SUB" and first != tensor
    if is_reversed or other == tensor or not graph.is_constant(other):
        return None
    values = graph.values(other)
    return values.reshape(-1) if values.shape[-1:] in ((), (1,), (channels,)) and values.size in (1, channels) else None


def _add_constant(graph: Graph, like: int, values: NDArray[np.float32]) -> int:
    """A new constant tensor, described as another one is: that one may serve other operators too."""
    buffer, tensor = schema.BufferT(), copy(graph.tensors[like])
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    tensor.buffer, tensor.name = len(graph.model.buffers), tensor.name + b"/shifted"
    graph.model.buffers.append(buffer)
    tensors = graph.model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1
