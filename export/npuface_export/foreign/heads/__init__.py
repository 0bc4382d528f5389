"""Patterns of heads, one file each, tried in this order."""

from __future__ import annotations

from npuface_export.foreign.graph import Graph
from npuface_export.foreign.heads import arg_max, heatmap_offset, nhwc, plain, sigmoid_maps, soft_argmax
from npuface_export.foreign.heads.head import Head, Pattern
from npuface_runtime.errors import UserError

__all__ = ["PATTERNS", "Head", "Pattern", "find_head"]

PATTERNS: tuple[Pattern, ...] = tuple(
    module.PATTERN for module in (soft_argmax, arg_max, heatmap_offset, sigmoid_maps, nhwc, plain)
)


def find_head(graph: Graph, pixels: tuple[int, int], named: str | None = None) -> Head:
    """The head of a graph: what stands behind the named tensor, or before the outputs.

    Args:
        pixels: height and width of the graph's input.
        named: a tensor that holds heatmaps; without it they are looked for.

    Raises:
        UserError: no pattern fits; the reason of each is given.
    """
    reasons = []
    for pattern in PATTERNS:
        found = pattern.match(graph, pixels, named)
        if isinstance(found, Head):
            return found
        reasons.append(f"{pattern.name}: {found}")
    outputs = ", ".join(f"{name} {list(graph.shape(name))}" for name in graph.outputs)
    is_decoded = all(len(graph.shape(name)) != 4 or max(graph.shape(name)[2:]) == 1 for name in graph.outputs)
    what = "the model is decoded already, and its decode is not known" if is_decoded else "no heatmaps are found"
    raise UserError(
        f"{what} (outputs: {outputs})" if named is None else f"the tensor {named!r} holds no heatmaps",
        "; ".join(reasons),
        "name the tensor that holds the heatmaps with --heatmaps",
    )
