"""per-map-maximum: exp(beta (h - max h)), separable sums, 16-bit moments, division on the host.

The softmax without its division: the weights are those of softmax times a factor that cancels in the ratio, and
their largest is exactly 1. Written with 8 bits, a weight under 1/510 becomes 0, which removes the background
bias of the softmax as well. It is the form for weights that were trained with a softmax and stay as they are.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.marginals import MapMaximum, MomentsOf, grid_params, maximum_needs, moments_needs


class ExponentialSquash(nn.Module):
    """Heatmaps [N, K, H, W] -> exp(beta (h - max h)), the same shape, at most 1."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.maximum = MapMaximum(spec)
        self.beta = spec.beta

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, K, H, W]."""
        return torch.exp((heatmaps - self.maximum(heatmaps)) * self.beta)


def exponential_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells: the centre of mass of exp(beta (h - max h))."""
    return expected_cell(torch.exp(spec.beta * (heatmaps - heatmaps.amax(dim=(-2, -1), keepdim=True))))


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    return (*maximum_needs(spec), Need("Mul"), Need("Sub"), Need("Exp"), *moments_needs(spec))


def exponential_mass(spec: HeatmapSpec) -> float:
    """Sum over the plane of exp(beta (g - 1)) for a Gaussian g with peak 1, its top taken as a parabola."""
    return 2 * math.pi * spec.sigma**2 / spec.beta


FORM = DecodeForm(
    name="per-map-maximum",
    summary="exp(beta (h - max h)), separable sums, 16-bit moments, divided on the host",
    rank=3,
    needs=_needs,
    points=exponential_points,
    build=lambda spec: MomentsOf(ExponentialSquash(spec), spec),
    finish="moments",
    finish_params=lambda spec: {**grid_params(spec), "ideal_mass": exponential_mass(spec)},
)
