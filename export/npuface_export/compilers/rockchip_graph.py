"""From the layers that RKNN-Toolkit2 lists back to the ONNX model: names, what reads what, body and decode."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import onnx

from npuface_export.compilers.placement import BODY, CPU, DECODE, NPU, PlacedOperator, Placement
from npuface_export.compilers.rockchip_log import BuildLog, Layer
from npuface_export.converters.onnx_graph import HEATMAPS, downstream

ENDS = ("InputOperator", "OutputOperator")
"""Rows of the table that stand for the copies into and out of the NPU's memory."""


def layers_that_run(log: BuildLog) -> list[Layer]:
    """The layers without the copies in and out."""
    return [layer for layer in log.layers if layer.operator not in ENDS]


def placement_of(model: onnx.ModelProto, own: onnx.ModelProto, log: BuildLog, cpu_reason: str) -> Placement:
    """Where the toolkit's layers run, in its order.

    A layer has the name of the ONNX node that it comes from; where it comes from several or from none, the toolkit's.
    Its kind and its type are the toolkit's.

    Args:
        model: that was compiled.
        own: the toolkit's own graph of it, whose nodes become the layers.
        log: of the build.
        cpu_reason: of every layer on the CPU; the toolkit gives none.
    """
    layers = layers_that_run(log)
    node_of = [_node_of(layer, own) for layer in layers]
    origins = _origins(model, log)
    decode = set(downstream(model, HEATMAPS))
    after = set(downstream(own, HEATMAPS))
    reads = _reads(own, node_of)
    placed: list[PlacedOperator] = []
    for number, (layer, node) in enumerate(zip(layers, node_of, strict=True)):
        sources = origins.get(node, frozenset())
        behind = any(placed[i].part == DECODE for i in reads[number])
        on_cpu = layer.target != NPU.upper()
        placed.append(
            PlacedOperator(
                name=next(iter(sources)) if len(sources) == 1 else node,
                operator=layer.operator,
                device=CPU if on_cpu else NPU,
                part=DECODE if behind or node in after or sources & decode else BODY,
                reads=tuple(sorted(reads[number])),
                reason=cpu_reason if on_cpu else None,
                dtype=layer.dtype.lower(),
            )
        )
    return Placement(tuple(placed))


def _node_of(layer: Layer, own: onnx.ModelProto) -> str:
    """The node of the toolkit's graph that a layer begins with: a fused one has its kind behind the node's name."""
    names = {node.name for node in own.graph.node}
    begun = layer.name.removesuffix(f"_{layer.operator}")
    return begun if begun in names and layer.name not in names else layer.name


def _origins(model: onnx.ModelProto, log: BuildLog) -> Mapping[str, frozenset[str]]:
    """For every node of the toolkit's, those of the ONNX model that it comes from."""
    origins = {node.name: frozenset({node.name}) for node in model.graph.node}
    for old, new in log.replaced:
        sources = _union(origins.get(name, frozenset()) for name in old)
        for name in new:
            origins[name] = sources
    return origins


def _union(sets: Iterable[frozenset[str]]) -> frozenset[str]:
    return frozenset().union(*sets)


def _reads(own: onnx.ModelProto, node_of: Sequence[str]) -> list[set[int]]:
    """For every layer the indices of those whose results it reads.

    A node of the toolkit's graph that is no layer was fused into the last layer that makes what it reads.
    """
    layer_of = {node: number for number, node in enumerate(node_of)}
    made_by: dict[str, int] = {}
    reads: list[set[int]] = [set() for _ in node_of]
    for node in own.graph.node:
        makers = {made_by[name] for name in node.input if name in made_by}
        number = layer_of.get(node.name, max(makers, default=-1))
        if number >= 0:
            reads[number] |= makers - {number}
            made_by |= dict.fromkeys(node.output, number)
    return reads
