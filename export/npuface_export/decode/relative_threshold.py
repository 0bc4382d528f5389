"""relative-threshold: relu(h - t max h), separable sums, 16-bit moments, division on the host.

Cells below a share t of their map's maximum count nothing, so the background has no bias and rounding
it to zero in INT8 loses nothing. The maximum is two max-pools, the sums are one column and one row of
ones, and only the four moments a landmark (mass and first moment of each marginal) need 16 bits.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.marginals import MapMaximum, MomentsOf, grid_params, maximum_needs, moments_needs


class RelativeSquash(nn.Module):
    """Heatmaps [N, K, H, W] -> relu(h - t max h), the same shape."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.maximum = MapMaximum(spec)
        self.threshold = spec.threshold

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, K, H, W]."""
        return torch.relu(heatmaps - self.maximum(heatmaps) * self.threshold)


def relative_threshold_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells: the centre of mass of relu(h - t max h)."""
    peak = heatmaps.amax(dim=(-2, -1), keepdim=True)
    return expected_cell(torch.relu(heatmaps - spec.threshold * peak))


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    return (*maximum_needs(spec), Need("Mul"), Need("Sub"), Need("Relu"), *moments_needs(spec))


def threshold_mass(spec: HeatmapSpec) -> float:
    """Sum over the plane of relu(g - t) for a Gaussian g with peak 1: 2 pi sigma^2 (1 - t + t ln t)."""
    t = spec.threshold
    return 2 * math.pi * spec.sigma**2 * (1 - t + t * math.log(t))


FORM = DecodeForm(
    name="relative-threshold",
    summary="relu(h - t max h), separable sums, 16-bit moments, divided on the host",
    rank=0,
    needs=_needs,
    points=relative_threshold_points,
    build=lambda spec: MomentsOf(RelativeSquash(spec), spec),
    finish="moments",
    finish_params=lambda spec: {**grid_params(spec), "ideal_mass": threshold_mass(spec)},
)
