"""Pattern plain: heatmaps leave the model as they are. It comes last; what has an own decode was found before."""

from __future__ import annotations

from npuface_export.foreign.graph import Graph
from npuface_export.foreign.heads.head import Head, Maps, Pattern, maps_shape

_NAME = "plain"


def _match(graph: Graph, pixels: tuple[int, int], named: str | None) -> Head | str:
    if named is None and len(graph.outputs) != 1:
        return f"the model has {len(graph.outputs)} outputs, and none was named"
    tensor = named or graph.outputs[0]
    is_nchw = graph.shape(graph.inputs[0])[1] == 3  # a model that takes channels last gives channels last
    shape = maps_shape(graph.shape(tensor), is_nchw)
    return f"{tensor!r}: {shape}" if isinstance(shape, str) else Head(_NAME, (tensor,), Maps(is_nchw), shape)


PATTERN = Pattern(_NAME, _match)
