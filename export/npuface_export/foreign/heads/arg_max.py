"""Pattern arg-max: the place of each map's largest cell, as an index or divided into row and column.

Before: maps -> flatten -> ArgMax [-> Div, Mod, Floor, Cast, scale] -> places. After: the maps. The model's own decode,
whole cells, stays the reference.
"""

from __future__ import annotations

from npuface_export.foreign.cell_grid import grid_of_head
from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.heads.coordinates_head import own_decode
from npuface_export.foreign.heads.head import Head, Maps, Pattern, each, maps_shape
from npuface_export.foreign.heads.softmax_path import path_to

_NAME = "arg-max"


def _match(graph: Graph, pixels: tuple[int, int], named: str | None) -> Head | str:
    why = "there is no ArgMax"
    for node in reversed(graph.nodes):
        if node.operator == "ArgMax":
            found = _behind(graph, node, pixels, named)
            if isinstance(found, Head):
                return found
            why = found
    return why


def _behind(graph: Graph, node: Node, pixels: tuple[int, int], named: str | None) -> Head | str:
    cells = graph.shape(node.inputs[0])[node.get("axis", 0)]
    path = path_to(graph, node, cells, named)
    if isinstance(path, str):
        return path
    shape = maps_shape(graph.shape(path.maps), path.is_nchw)
    if isinstance(shape, str):
        return f"{path.maps!r}: {shape}"
    head = own_decode(graph, path, shape)
    if isinstance(head, str):
        return head
    decode, read = head
    grid = grid_of_head(read, pixels, shape[1:])
    if isinstance(grid, str):
        return grid
    facts = {"coordinates": read.order}
    return Head(_NAME, (path.maps,), Maps(path.is_nchw), shape, own=each(decode), grid=grid, facts=facts)


PATTERN = Pattern(_NAME, _match)
