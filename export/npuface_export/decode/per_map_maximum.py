"""per-map-maximum: exp(beta (h - max h)), separable sums, 16-bit moments, division on the host.

The softmax without its division: the weights are those of softmax times a factor that cancels in the ratio, and
their largest is exactly 1. Written with 8 bits, a weight under 1/510 becomes 0, which removes the background
bias of the softmax as well. It is the form for weights that were trained with a softmax and stay as they are.
The maximum is taken off before the exponential: without that, fp16 overflows. It leaves as well, for the confidence.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.needs import elementwise, marginals_needs, maximum_needs, moments_needs
from npuface_export.decode.sums import MapMaximum, MomentsOf, grid_params, whole_grid


class ExponentialSquash(nn.Module):
    """Squash: exp(beta (h - max h)), at most 1; the maximum leaves beside it."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.maximum = MapMaximum(spec)
        self.beta = spec.beta

    def forward(self, heatmaps: Tensor) -> tuple[Tensor, Tensor]:
        """[N, K, H, W] -> [N, K, H, W] and [N, K, 1, 1]."""
        peak = self.maximum(heatmaps)
        return torch.exp((heatmaps - peak) * self.beta), peak


def exponential_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells: the centre of mass of exp(beta (h - max h))."""
    return expected_cell(torch.exp(spec.beta * (heatmaps - heatmaps.amax(dim=(-2, -1), keepdim=True))))


def exponential_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What ExponentialSquash asks of the NPU."""
    return (*maximum_needs(spec), elementwise("Sub", spec), elementwise("Mul", spec), elementwise("Exp", spec))


def exponential_confidence(spec: HeatmapSpec) -> dict[str, float]:
    """What the confidence needs: the mass of a Gaussian peak of height 1, and how mass goes with the height."""
    full, half = _peak_mass(spec, 1.0), _peak_mass(spec, 0.5)
    return {"ideal_mass": full, "mass_power": math.log2(full / half)}


def _peak_mass(spec: HeatmapSpec, height: float) -> float:
    """Mean over places between cells of the mass of exp(beta (h - max h)), h a Gaussian peak of that height.

    The peak is narrower than a cell for a large beta, so that no integral tells its sum over cells. Cells under 1 %
    of the height are left out: there the background begins.
    """
    reach = math.ceil(spec.sigma * math.sqrt(2 * math.log(100))) + 1
    distance = torch.arange(-reach, reach + 1) - (torch.arange(8)[:, None] + 0.5) / 8 + 0.5
    profile = torch.exp(-(distance**2) / (2 * spec.sigma**2))
    peaks = height * profile[:, None, :, None] * profile[None, :, None, :]
    weights = torch.exp(spec.beta * (peaks - peaks.amax(dim=(-2, -1), keepdim=True)))
    return float(torch.where(peaks > 0.01 * height, weights, 0).sum(dim=(-2, -1)).mean())


FORM = DecodeForm(
    name="per-map-maximum",
    summary="exp(beta (h - max h)), separable sums, 16-bit moments, divided on the host",
    needs=lambda spec: (*exponential_needs(spec), *marginals_needs(spec), *moments_needs(spec)),
    points=exponential_points,
    build=lambda spec: MomentsOf(ExponentialSquash(spec), spec),
    finish="moments",
    finish_params=lambda spec: {**grid_params(spec.height, spec.width), **exponential_confidence(spec)},
    grid=whole_grid,
)
