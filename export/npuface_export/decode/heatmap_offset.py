"""heatmap-offset: expected cell plus expected offset, both under relu(h - t max h), division on the host.

For networks that draw coarse heatmaps and, for every cell, how far the landmark stands from it. Their own decode takes
the highest cell and the offset there, which an NPU cannot gather; the mean of cell + offset over the cells near the
maximum needs sums only:

    x = sum of w(i, j) (i + offset_x(i, j)) / sum of w(i, j)        y likewise

Offsets far from a peak are untrained and any number, so the weights must be zero there: a high threshold suits it.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.needs import depthwise, elementwise, marginals_needs, moments_needs
from npuface_export.decode.relative_threshold import (
    RelativeSquash,
    relative_confidence,
    relative_needs,
    relative_weights,
)
from npuface_export.decode.sums import Marginals, Moments, fixed_depthwise, grid_params, whole_grid


class _OffsetMoments(nn.Module):
    """Marginals and the weighted offsets summed over rows [N, K, 1, W] -> [N, 7K, 1, 1]: see HeatmapOffset."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.centres = Moments(spec)
        self.offset_x = fixed_depthwise(spec.points, torch.ones(1, spec.width))
        self.offset_y = fixed_depthwise(spec.points, torch.ones(1, spec.width))

    def forward(self, marginals: tuple[Tensor, Tensor], x: Tensor, y: Tensor, peak: Tensor) -> Tensor:
        moments: Tensor = self.centres(*marginals, self.offset_x(x), self.offset_y(y), peak)
        return moments


class HeatmapOffset(nn.Module):
    """[N, 3K, H, W] -> [N, 7K, 1, 1]: the four moments, sums of weight times x-offset and y-offset, maximum."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.points = spec.points
        self.squash = RelativeSquash(spec)
        self.marginals = Marginals(spec)
        self.over_rows_x = fixed_depthwise(spec.points, torch.ones(spec.height, 1))
        self.over_rows_y = fixed_depthwise(spec.points, torch.ones(spec.height, 1))
        self.moments = _OffsetMoments(spec)

    def forward(self, maps: Tensor) -> Tensor:
        """[N, 3K, H, W] -> [N, 7K, 1, 1]."""
        k = self.points
        weights, peak = self.squash(maps[:, :k])
        x = self.over_rows_x(weights * maps[:, k : 2 * k])
        y = self.over_rows_y(weights * maps[:, 2 * k :])
        moments: Tensor = self.moments(self.marginals(weights), x, y, peak)
        return moments


def offset_points(maps: Tensor, spec: HeatmapSpec) -> Tensor:
    """[N, 3K, H, W] -> points [N, K, 2] in cells: the mean of cell + offset under relu(h - t max h)."""
    heatmaps, x, y = maps.split(spec.points, dim=1)
    weights = relative_weights(heatmaps, spec)
    mass = weights.sum(dim=(-2, -1)).clamp_min(1e-6)
    offsets = torch.stack([(weights * x).sum(dim=(-2, -1)), (weights * y).sum(dim=(-2, -1))], dim=-1)
    return expected_cell(weights) + offsets / mass[..., None]


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    over_rows = depthwise(spec, (spec.height, 1))
    over_columns = Need("Conv", (1, spec.width), (1, 1), spec.points * spec.width)
    return (
        *[elementwise("Slice", spec)] * 3,
        *relative_needs(spec),
        *[elementwise("Mul", spec)] * 2,
        *marginals_needs(spec),
        *moments_needs(spec),
        *[over_rows, over_columns] * 2,
    )


FORM = DecodeForm(
    name="heatmap-offset",
    summary="mean of cell + offset under relu(h - t max h), 16-bit moments, divided on the host",
    needs=_needs,
    points=offset_points,
    build=HeatmapOffset,
    finish="offset-moments",
    finish_params=lambda spec: {**grid_params(spec.height, spec.width), **relative_confidence(spec)},
    kinds=("heatmap-offset",),
    grid=whole_grid,
)
