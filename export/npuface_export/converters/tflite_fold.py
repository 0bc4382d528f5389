"""A fixed shift and relu behind the heatmaps, folded into the convolution that draws them.

Compilers fuse neither an INT8 subtraction nor a relu that has a scale of its own into the operator in front: each costs
a pass over every map. In the convolution's bias and in its activation they cost nothing, and round once less.

What was folded is noted in the file, so that the network can be cut at the heatmaps that it draws: `unfold_shift`.
"""

from __future__ import annotations

from copy import copy, deepcopy
from typing import Any

import numpy as np
from ai_edge_litert import schema_py_generated as schema
from numpy.typing import NDArray

from npuface_export.converters.tflite_graph import Graph

_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")
_SIGNS = {"ADD": 1, "SUB": -1}
_PLAIN = schema.ActivationFunctionType.NONE
_NOTE = "npuface_folded_shift"
"""{"shift": what was added, a number or one a channel; "range": smallest and largest heatmap value without it}."""


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
    added = _SIGNS[graph.operator_name(shift)] * constant
    shifted = graph.values(bias) + added
    convolution.inputs = [*convolution.inputs[:2], _add_constant(graph, bias, shifted.astype(np.float32))]
    convolution.builtinOptions.fusedActivationFunction = shift.builtinOptions.fusedActivationFunction
    result = int(shift.outputs[0])
    graph.replace_tensor(result, tensor)
    graph.end_at(tensor if graph.outputs == [result] else graph.outputs[0])
    graph.set_note(_NOTE, {"shift": added.tolist()})
    return True


def has_folded_shift(graph: Graph) -> bool:
    """Whether fold_shift changed this model's heatmaps."""
    return graph.note(_NOTE) is not None


def note_range(graph: Graph, low: float, high: float) -> None:
    """Note in a model with a folded shift what range its heatmaps have without it, zero included."""
    graph.set_note(_NOTE, {**graph.note(_NOTE), "range": [low, high]})


def unfold_shift(graph: Graph, name: str) -> None:
    """Take back what fold_shift did, if it did anything: the tensor holds the values that the convolution draws.

    A quantized tensor gets the scale of their range (see note_range); the weights stay as they are.

    Args:
        graph: changed in place; it ends at the tensor.
        name: of the tensor that the convolution writes.
    """
    note, tensor = graph.note(_NOTE), graph.by_name(name)
    if note is None or tensor is None:
        return
    convolution = next(operator for operator in graph.operators if tensor in operator.outputs)
    bias = int(convolution.inputs[2])
    steps = 1.0 if graph.dtype(bias) == "float32" else np.asarray(graph.tensors[bias].quantization.scale)
    values = graph.values(bias) - np.array(note["shift"]) / steps
    if graph.dtype(bias) != "float32":
        values = np.rint(values)
        _quantize(graph, tensor, *note["range"])
    values = values.astype(graph.dtype(bias))
    convolution.inputs = [*convolution.inputs[:2], _add_constant(graph, bias, values)]
    convolution.builtinOptions.fusedActivationFunction = _PLAIN
    graph.end_at(tensor)


def _quantize(graph: Graph, tensor: int, low: float, high: float) -> None:
    """Let an integer tensor hold a range: with a zero point in 8 bits, symmetric in 16, as LiteRT's kernels take it."""
    bounds = np.iinfo(graph.dtype(tensor))
    scale, zero_point = max(high, -low) / bounds.max, 0
    if bounds.bits == 8:
        scale = (high - low) / (bounds.max - bounds.min)
        zero_point = round(bounds.min - low / scale)
    quantization = deepcopy(graph.tensors[tensor].quantization)
    quantization.scale, quantization.zeroPoint = [scale], [zero_point]
    graph.tensors[tensor].quantization = quantization


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


def _add_constant(graph: Graph, like: int, values: NDArray[np.generic]) -> int:
    """A new constant tensor, described as another one is: that one may serve other operators too."""
    buffer, tensor = schema.BufferT(), copy(graph.tensors[like])
    buffer.data = np.frombuffer(values.tobytes(), np.uint8)
    tensor.buffer, tensor.name = len(graph.model.buffers), tensor.name + b"/shifted"
    graph.model.buffers.append(buffer)
    tensors = graph.model.subgraphs[0].tensors
    tensors.append(tensor)
    return len(tensors) - 1
