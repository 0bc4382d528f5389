"""The placement of an ONNX model's operators, by the names of those that a vendor's tool leaves to the CPU."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from npuface_export.compilers.placement import BODY, CPU, DECODE, NPU, PlacedOperator, Placement
from npuface_export.converters.onnx_graph import HEATMAPS, downstream

_TYPES_ONLY = ("QuantizeLinear", "DequantizeLinear")


def onnx_operators(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    """The nodes that count as operators, in the order of execution.

    QuantizeLinear and DequantizeLinear are none: in a QDQ model they carry the types of what they stand between, and
    an NPU computes in those types without them. What works on constants alone is folded and is none either.
    """
    live = {value.name for value in model.graph.input}
    operators = []
    for node in model.graph.node:
        if live.intersection(node.input):
            live.update(node.output)
            if node.op_type not in _TYPES_ONLY:
                operators.append(node)
    return operators


def onnx_placement(model: onnx.ModelProto, on_cpu: Mapping[str, str | None]) -> Placement:
    """Where the operators of a model run.

    Args:
        model: with its heatmaps called `heatmaps`; what depends on them is the decode.
        on_cpu: names of the nodes that are left to the CPU, each with the reason in the vendor's words, if there is
            one. All others are on the NPU.
    """
    after = set(downstream(model, HEATMAPS))
    counted = {node.name for node in onnx_operators(model)}
    made_by: dict[str, tuple[int, ...]] = {}
    placed: list[PlacedOperator] = []
    for node in model.graph.node:
        read = tuple(dict.fromkeys(index for name in node.input for index in made_by.get(name, ())))
        if node.name in counted:
            left = node.name in on_cpu
            placed.append(
                PlacedOperator(
                    name=node.name,
                    operator=node.op_type,
                    device=CPU if left else NPU,
                    part=DECODE if node.name in after else BODY,
                    reads=read,
                    reason=on_cpu.get(node.name),
                )
            )
            read = (len(placed) - 1,)
        made_by |= dict.fromkeys(node.output, read)
    return Placement(tuple(placed))
