"""What a pattern makes of a graph: where the body ends, and what the model did with its maps itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from npuface_export.foreign.cell_grid import Pair
from npuface_export.foreign.graph import Graph

MapsShape = tuple[int, int, int]
MIN_SIDE, MAX_SIDE, MAX_POINTS = 4, 255, 1000


@dataclass(frozen=True)
class Head:
    """A head, recognised.

    Attributes:
        pattern: by name.
        tensors: that the body ends in.
        assemble: makes of them what the decode takes (HeatmapSpec.input_shape).
        shape: number of maps, their height and width.
        kind: as HeatmapSpec has it.
        beta: the model's own inverse temperature, where it has one.
        own: the model's own decode: what the decode takes -> points [N, K, 2] in cells.
        grid: (scale, offset) from cells to pixels of the input, where the model's coordinates tell.
        facts: what the record says of it besides.
    """

    pattern: str
    tensors: tuple[str, ...]
    assemble: nn.Module
    shape: MapsShape
    kind: str = "heatmaps"
    beta: float | None = None
    own: Callable[[Tensor], Tensor] | None = None
    grid: tuple[Pair, Pair] | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Pattern:
    """One kind of head.

    Attributes:
        name: what records call it.
        match: (graph, height and width of its input, the tensor that the user named or None) -> the head,
            or the reason why it is not there.
    """

    name: str
    match: Callable[[Graph, tuple[int, int], str | None], Head | str]


class Maps(nn.Module):
    """One tensor as it is, NCHW or made so, or some of its channels."""

    def __init__(self, is_nchw: bool = True, part: tuple[int, int] | None = None) -> None:
        super().__init__()
        self.is_nchw, self.part = is_nchw, part

    def forward(self, maps: Tensor) -> Tensor:
        """[1, C, H, W] or [1, H, W, C] -> [1, K, H, W]."""
        maps = maps if self.is_nchw else maps.permute(0, 3, 1, 2)
        return maps if self.part is None else maps[:, slice(*self.part)]


def maps_shape(shape: tuple[int, ...], is_nchw: bool = True) -> MapsShape | str:
    """Number, height and width of the maps in a tensor of that shape, or why it holds none."""
    if len(shape) != 4 or shape[0] != 1:
        return f"its shape is {list(shape)}, not [1, K, H, W]"
    points, height, width = shape[1:] if is_nchw else (shape[3], shape[1], shape[2])
    if min(height, width) < MIN_SIDE or max(height, width) > MAX_SIDE:
        return f"its maps have {height} x {width} cells, not {MIN_SIDE} to {MAX_SIDE} a side"
    return (points, height, width) if points <= MAX_POINTS else f"it has {points} maps, over {MAX_POINTS}"


def each(decode: Callable[[Tensor], Tensor]) -> Callable[[Tensor], Tensor]:
    """A decode of one picture's maps [1, C, H, W] -> [K, 2], for a batch of them."""

    def batch(maps: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([decode(one[None]) for one in maps])

    return batch
