"""Pattern heatmap-offset: one output of K heatmaps, K row offsets and K column offsets, as OpenSeeFace has it.

Before: ... -> Conv in three groups [-> Clip or Relu, or Sigmoid] -> output [1, 3K, H, W]. After: the same, a last
Sigmoid cut off, whose inverse the published decode takes anyway:

    row + (H - 1) logit(v) / 16        column + (W - 1) logit(v) / 16

at the highest cell of a map (OpenSeeFace, tracker.py, Tracker.landmarks: offsets are shares of the input). The corner
cells stand on the corner pixels.
"""

from __future__ import annotations

from npuface_export.foreign.cell_grid import grid_by_name
from npuface_export.foreign.channels import Channels
from npuface_export.foreign.graph import Graph
from npuface_export.foreign.heads.head import Head, Pattern, maps_shape
from npuface_export.foreign.heads.offsets import OffsetCode, WithOffsets, own_offset_decode

_NAME = "heatmap-offset"
_LOGITS = 16.0
"""OpenSeeFace's logit_factor."""
_CLIPPED = ("Clip", "Relu")


def _match(graph: Graph, pixels: tuple[int, int], named: str | None) -> Head | str:
    if len(graph.outputs) != 1 or named not in (None, graph.outputs[0]):
        return "heatmaps and offsets do not leave in one output"
    tensor = graph.outputs[0]
    shape = maps_shape(graph.shape(tensor))
    if isinstance(shape, str):
        return f"{tensor!r}: {shape}"
    last = graph.producers[tensor]
    has_sigmoid = last.operator == "Sigmoid"
    conv = graph.producers.get(last.inputs[0]) if has_sigmoid or last.operator in _CLIPPED else last
    if conv is None or conv.operator != "Conv" or conv.get("group", 1) != 3 or shape[0] % 3 or shape[0] == 3:
        return "its last convolution is not in three groups of as many maps"
    points, height, width = shape[0] // 3, *shape[1:]
    if height != width:
        return f"its maps have {height} x {width} cells, the published decode takes square ones"
    code = OffsetCode("sigmoid" if has_sigmoid else "logit", (width - 1) / _LOGITS)
    start = last.inputs[0] if has_sigmoid else tensor
    maps, rows, columns = (Channels(start, (i * points, (i + 1) * points)) for i in range(3))
    return Head(
        _NAME,
        (start,),
        WithOffsets([(0, maps), (0, columns), (0, rows)], code),
        (points, height, width),
        kind="heatmap-offset",
        own=own_offset_decode(points, height, width),
        grid=grid_by_name("align-corners", pixels, (height, width)),
        facts={"offsets": f"{code.name}, {code.factor:g} cells a unit"},
    )


PATTERN = Pattern(_NAME, _match)
