"""relative-threshold: relu(h - t max h), separable sums, 16-bit moments, division on the host.

Cells below a share t of their map's maximum count nothing, so the background has no bias and rounding
it to zero in INT8 loses nothing. The maximum is two max-pools, the sums are one column and one row of
ones, and only the four moments a landmark (mass and first moment of each marginal) need 16 bits. The maximum
leaves with them: mass over maximum is the area of the peak, which the confidence needs.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.needs import elementwise, marginals_needs, maximum_needs, moments_needs
from npuface_export.decode.sums import MapMaximum, MomentsOf, grid_params, whole_grid


class RelativeSquash(nn.Module):
    """Squash: relu(h - t max h); the maximum leaves beside it."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.maximum = MapMaximum(spec)
        self.threshold = spec.threshold

    def forward(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """[N, K, H, W] -> [N, K, H, W] and [N, K, 1, 1]."""
        peak = self.maximum(heatmaps)
        return torch.relu(heatmaps - peak * self.threshold), peak


def relative_weights(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """relu(h - t max h), [N, K, H, W]."""
    return torch.relu(heatmaps - spec.threshold * heatmaps.amax(dim=(-2, -1), keepdim=True))


def relative_threshold_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells: the centre of mass of relu(h - t max h)."""
    return expected_cell(relative_weights(heatmaps, spec))


def relative_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What RelativeSquash asks of the NPU."""
    return (
        *maximum_needs(spec),
        Need("Mul", work=spec.points),
        elementwise("Sub", spec),
        elementwise("Relu", spec),
    )


def threshold_mass(spec: HeatmapSpec) -> float:
    """Sum over the plane of relu(g - t) for a Gaussian g with peak 1: 2 pi sigma^2 (1 - t + t ln t)."""
    t = spec.threshold
    return 2 * math.pi * spec.sigma**2 * (1 - t + t * math.log(t))


def relative_confidence(spec: HeatmapSpec) -> dict[str, float]:
    """What the confidence needs: the mass of a peak of height 1; the mass goes with the height."""
    return {"ideal_mass": threshold_mass(spec), "mass_power": 1}


FORM = DecodeForm(
    name="relative-threshold",
    summary="relu(h - t max h), separable sums, 16-bit moments, divided on the host",
    needs=lambda spec: (*relative_needs(spec), *marginals_needs(spec), *moments_needs(spec)),
    points=relative_threshold_points,
    build=lambda spec: MomentsOf(RelativeSquash(spec), spec),
    finish="moments",
    finish_params=lambda spec: {**grid_params(spec.height, spec.width), **relative_confidence(spec)},
    grid=whole_grid,
)
