"""Pattern soft-argmax: softmax over each map, times a grid, summed (kornia's spatial_soft_argmax2d, DSNT, ours).

Before: maps [* beta] -> flatten -> Softmax -> grid, sums, shift and scale in any notation -> coordinates. After: the
maps. Beta is read off the factor before the Softmax, the grid off the head's answers to single peaks.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from npuface_export.decode.form import expected_cell
from npuface_export.foreign.cell_grid import grid_of_head
from npuface_export.foreign.graph import Graph, Node
from npuface_export.foreign.heads.coordinates_head import own_decode
from npuface_export.foreign.heads.head import Head, Maps, MapsShape, Pattern, each, maps_shape
from npuface_export.foreign.heads.softmax_path import Path, path_to

_NAME = "soft-argmax"
_AGREE = 5e-3
"""Cells between the head and softmax(beta h): what float32 sums over some thousand cells lose."""


def _match(graph: Graph, pixels: tuple[int, int], named: str | None) -> Head | str:
    why = "there is no Softmax"
    for node in reversed(graph.nodes):
        if node.operator == "Softmax":
            found = _behind(graph, node, pixels, named)
            if isinstance(found, Head):
                return found
            why = found
    return why


def _behind(graph: Graph, node: Node, pixels: tuple[int, int], named: str | None) -> Head | str:
    path = path_to(graph, node, _cells(graph, node), named)
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
    missed = _missed(decode, path, shape)
    if missed > _AGREE:
        return f"it is off softmax({path.factor:g} h) by {missed:.2g} cells"
    facts = {"coordinates": read.order}
    maps = Maps(path.is_nchw)
    return Head(_NAME, (path.maps,), maps, shape, beta=path.factor, own=each(decode), grid=grid, facts=facts)


def _cells(graph: Graph, node: Node) -> int:
    """Elements over which a Softmax sums."""
    shape = graph.shape(node.inputs[0])
    axis = node.get("axis", -1 if graph.opset >= 13 else 1) % len(shape)
    return shape[axis] if graph.opset >= 13 else math.prod(shape[axis:])


def _missed(decode: Callable[[Tensor], Tensor], path: Path, shape: MapsShape) -> float:
    """Largest distance in cells between a head and its definition, on noise that spreads the probability."""
    maps = torch.randn(1, *shape, generator=torch.Generator().manual_seed(0)) * (3 / path.factor)
    with torch.no_grad():
        weights = torch.softmax((maps * path.factor).flatten(2).double(), dim=-1).reshape(maps.shape)
        return float((decode(maps) - expected_cell(weights)[0]).abs().max())


PATTERN = Pattern(_NAME, _match)
