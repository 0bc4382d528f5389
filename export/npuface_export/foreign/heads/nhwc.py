"""Pattern nhwc: heatmaps that are transposed to channels last before they leave.

Before: ... -> Transpose (0, 2, 3, 1) -> output [1, H, W, K]. After: the maps in front of the Transpose.
"""

from __future__ import annotations

from npuface_export.foreign.graph import Graph
from npuface_export.foreign.heads.head import Head, Maps, Pattern, maps_shape

_NAME = "nhwc"


def _match(graph: Graph, pixels: tuple[int, int], named: str | None) -> Head | str:
    tensor = named or (graph.outputs[0] if len(graph.outputs) == 1 else "")
    node = graph.producers.get(tensor)
    if node is None or node.operator != "Transpose" or list(node.get("perm", [])) != [0, 2, 3, 1]:
        return "no Transpose to channels last makes the output"
    shape = maps_shape(graph.shape(node.inputs[0]))
    return f"{node.inputs[0]!r}: {shape}" if isinstance(shape, str) else Head(_NAME, (node.inputs[0],), Maps(), shape)


PATTERN = Pattern(_NAME, _match)
