"""Pattern sigmoid: heatmaps that end in a Sigmoid, in either layout.

Before: ... -> Sigmoid [-> Transpose] -> output. After: the same maps in NCHW, with the Sigmoid: below it, no value
stands for "nothing here", from which the decode forms count.
"""

from __future__ import annotations

from npuface_export.foreign.graph import Graph
from npuface_export.foreign.heads.head import Head, Maps, Pattern, maps_shape

_NAME = "sigmoid"


def _match(graph: Graph, pixels: tuple[int, int], named: str | None) -> Head | str:
    tensor = named or (graph.outputs[0] if len(graph.outputs) == 1 else "")
    node = graph.producers.get(tensor)
    if node is not None and node.operator == "Transpose" and list(node.get("perm", [])) == [0, 2, 3, 1]:
        tensor = node.inputs[0]
        node = graph.producers.get(tensor)
    if node is None or node.operator != "Sigmoid":
        return "no Sigmoid makes the output"
    shape = maps_shape(graph.shape(tensor))
    return f"{tensor!r}: {shape}" if isinstance(shape, str) else Head(_NAME, (tensor,), Maps(), shape)


PATTERN = Pattern(_NAME, _match)
