"""The placement of an ONNX model's operators, by the names of those that a vendor's tool leaves to the CPU."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import onnx

from npuface_export.compilers.placement import BODY, CPU, DECODE, NPU, PlacedOperator, Placement
from npuface_export.converters.onnx_graph import HEATMAPS
from npuface_runtime.errors import UserError

_TYPES_ONLY = ("QuantizeLinear", "DequantizeLinear")


def onnx_operators(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that count as operators, in the order of execution.

    QuantizeLinear and DequantizeLinear are none: in a QDQ model they carry the types of what they stand between, and
    an NPU computes in those types without them. What works on constants alone is folded and is none either.
    """
    return [model.graph.node[index] for index in _indices(model)]


def _indices(model: onnx.ModelProto) -> list[int]:
    """Where the operators stand among the nodes."""
    live, indices = {value.name for value in model.graph.input}, []
    for index, node in enumerate(model.graph.node):
        if live.intersection(node.input):
            live.update(node.output)
            if node.op_type not in _TYPES_ONLY:
                indices.append(index)
    return indices


def operator_names(model: onnx.ModelProto) -> frozenset[str]:
    """The names of its operators, by which vendors' tools tell which of them they leave to the CPU.

    Raises:
        UserError: an operator has no name, or that of another.
    """
    counts = Counter(node.name for node in onnx_operators(model))
    shared = sorted(name for name, count in counts.items() if count > 1 or not name)
    if shared:
        why = f"{counts[shared[0]]} operators of the model are called {shared[0]!r}"
        raise UserError("cannot tell which operators are on the CPU", why, "give each a name of its own")
    return frozenset(counts)


def onnx_placement(model: onnx.ModelProto, on_cpu: Mapping[str, str | None]) -> Placement:
    """Where the operators of a model run.

    Args:
        model: with its heatmaps called `heatmaps`; what depends on them is the decode.
        on_cpu: names (see operator_names) of the nodes that are left to the CPU, each with the reason in the vendor's
            words, if there is one. All others are on the NPU.
    """
    after, counted = {HEATMAPS}, set(_indices(model))
    made_by: dict[str, tuple[int, ...]] = {}
    placed: list[PlacedOperator] = []
    for index, node in enumerate(model.graph.node):
        read = tuple(dict.fromkeys(maker for name in node.input for maker in made_by.get(name, ())))
        behind = bool(after.intersection(node.input))
        after.update(node.output if behind else ())
        if index in counted:
            left = node.name in on_cpu
            placed.append(
                PlacedOperator(
                    name=node.name,
                    operator=node.op_type,
                    device=CPU if left else NPU,
                    part=DECODE if behind else BODY,
                    reads=read,
                    reason=on_cpu.get(node.name),
                )
            )
            read = (len(placed) - 1,)
        made_by |= dict.fromkeys(node.output, read)
    return Placement(tuple(placed))
