"""heatmap-offset-host: heatmaps and offsets leave the NPU, numpy takes the highest cell and the offset there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec


def highest_cell_points(maps: Tensor, spec: HeatmapSpec) -> Tensor:
    """[N, 3K, H, W] -> points [N, K, 2] in cells: the highest cell plus the offset that stands there."""
    heatmaps, *offsets = maps.flatten(2).split(spec.points, dim=1)
    best = heatmaps.argmax(dim=-1, keepdim=True)
    cells = (best % spec.width, best // spec.width)
    return torch.cat([cell + offset.gather(-1, best) for cell, offset in zip(cells, offsets, strict=True)], dim=-1)


FORM = DecodeForm(
    name="heatmap-offset-host",
    summary="heatmaps and offsets leave the NPU, numpy takes the highest cell and its offset",
    needs=lambda spec: (),
    points=highest_cell_points,
    build=lambda spec: nn.Identity(),
    finish="heatmap-offset",
    kinds=("heatmap-offset",),
)
