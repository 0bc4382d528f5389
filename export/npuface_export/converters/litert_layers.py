"""What the parts of a TFLite model are: layers of the body, decode, moments."""

from __future__ import annotations

import re
from typing import Any

from npuface_export.converters.tflite_graph import HEATMAPS, Graph
from npuface_runtime.errors import UserError

_FOLLOWERS = ("PAD", "PADV2", "RESIZE_NEAREST_NEIGHBOR", "RESHAPE", "TRANSPOSE", "MAX_POOL_2D", "RELU", "RELU6")
"""Operators that compute nothing new: they are part of the layer that makes what they read."""
_WRAPPERS = 3
"""Modules around the network: channels last, the marked pair of network and decode, and the network in that."""


def parts(graph: Graph) -> tuple[list[Any], list[Any]]:
    """(operators after the heatmaps, those of them that belong to `moments` or follow one that does)."""
    start = graph.by_name(HEATMAPS)
    if start is None:
        raise UserError("cannot quantize the model", f"it has no tensor {HEATMAPS!r}", "export the network again")
    decode = graph.downstream([start])
    named = [tensor for op in decode for tensor in op.outputs if "moments" in graph.name(tensor)]
    following = graph.downstream(named)
    return decode, [op for op in decode if op in following or any(tensor in named for tensor in op.outputs)]


def body_layers(graph: Graph) -> dict[str, list[Any]]:
    """Names of the layers in front of the decode, in order, and the operators that make each."""
    decode, _ = parts(graph)
    made_by: dict[int, str] = {}
    layers: dict[str, list[Any]] = {}
    ahead: dict[int, Any] = {}  # what works on the picture is part of the layer that reads it
    for op in graph.operators:
        if op in decode:
            continue
        follows = graph.operator_name(op) in _FOLLOWERS
        layer = made_by.get(int(op.inputs[0])) if follows else None
        if layer is None and follows:
            ahead |= dict.fromkeys(map(int, op.outputs), op)
            continue
        if layer is None:
            layer = _unique(module_of(graph.name(int(op.outputs[0]))) or graph.operator_name(op).lower(), layers)
            layers[layer] = [ahead[int(i)] for i in op.inputs if int(i) in ahead]
        layers[layer].append(op)
        made_by |= dict.fromkeys(map(int, op.outputs), layer)
    return layers


def module_of(tensor: str) -> str:
    """The torch module that a tensor comes from: package.Class_name/package.Class_name;... -> name.name.

    A tensor of another origin has its own name.
    """
    path = tensor.split(";;")[-1].split(";")[0].split("/")
    names = [re.sub(r"^[^_]*_", "", step.rsplit(".", 1)[-1].lstrip("_")) for step in path[_WRAPPERS:]]
    return ".".join(names) or tensor.split(";")[0]


def _unique(name: str, taken: dict[str, list[Any]]) -> str:
    number, chosen = 2, name
    while chosen in taken:
        chosen, number = f"{name}:{number}", number + 1
    return chosen
