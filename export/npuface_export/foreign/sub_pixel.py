"""The highest cell of a map, refined between cells: the reference where a model has no finer decode of its own."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def sub_pixel_argmax(maps: Tensor) -> Tensor:
    """Maps [N, K, H, W] -> points [N, K, 2] in cells.

    The vertex of the parabola through the highest cell and its two neighbours, along x and along y, at most half a
    cell from it; a cell on the rim stays where it is along the axis on which it has one neighbour.
    """
    width = maps.shape[-1]
    best = maps.flatten(2).argmax(dim=-1)
    row, column = best // width, best % width
    around = functional.pad(maps, (1, 1, 1, 1), value=torch.nan).flatten(2)

    def at(down: int, across: int) -> Tensor:
        place = (row + 1 + down) * (width + 2) + column + 1 + across
        return around.gather(-1, place[..., None])[..., 0]

    peak = at(0, 0)
    x = column + _vertex(at(0, -1), peak, at(0, 1))
    y = row + _vertex(at(-1, 0), peak, at(1, 0))
    return torch.stack([x, y], dim=-1)


def _vertex(before: Tensor, peak: Tensor, after: Tensor) -> Tensor:
    bend = 2 * peak - before - after
    shift = (after - before) / (2 * bend)
    return torch.where(bend > 0, shift, 0).nan_to_num(0.0).clamp(-0.5, 0.5)
