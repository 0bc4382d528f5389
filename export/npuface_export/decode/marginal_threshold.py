"""marginal-threshold: relu(h - s) with a small fixed s, its marginals, and of each what rises above a share of its
own maximum; 16-bit moments, division on the host.

The relative threshold where it costs nothing: on H + W sums instead of H W cells. What is left on the map itself is
the fixed relu, which compilers fuse into the network's last convolution, and the two marginals. The fixed part only
has to take off the background, so a peak may be a fraction of its full height; the relative part cuts off what a
second, lower peak or a wide foot adds, and makes the point independent of the peak's height.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.needs import marginals_needs, moments_needs
from npuface_export.decode.sums import Marginals, Moments, grid_params, whole_grid

BACKGROUND = 0.1
"""Level s of the background, as a share of a full peak."""


class MarginalThreshold(nn.Module):
    """Heatmaps [N, K, H, W] -> [N, 4K, 1, 1]: mass and first moment of x, then of y."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.threshold = spec.threshold
        self.marginals = Marginals(spec)
        self.highest_x = nn.MaxPool2d((1, spec.width), stride=1)
        self.highest_y = nn.MaxPool2d((spec.height, 1), stride=1)
        self.moments = Moments(spec)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, 4K, 1, 1]."""
        x, y = self.marginals(torch.relu(heatmaps - BACKGROUND))
        x = torch.relu(x - self.highest_x(x) * self.threshold)
        y = torch.relu(y - self.highest_y(y) * self.threshold)
        moments: Tensor = self.moments(x, y)
        return moments


def marginal_threshold_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells."""
    weights = torch.relu(heatmaps - BACKGROUND)
    axes = []
    for sums in (weights.sum(dim=-2), weights.sum(dim=-1)):
        above = torch.relu(sums - spec.threshold * sums.amax(dim=-1, keepdim=True))
        axes.append(expected_cell(above[..., None, :])[..., 0])
    return torch.stack(axes, dim=-1)


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    needs = [Need("Sub"), Need("Relu"), *marginals_needs(spec)]  # both in the network's last convolution: no work
    for cells, kernel in ((spec.width, (1, spec.width)), (spec.height, (spec.height, 1))):
        work = spec.points * cells
        needs += [Need("MaxPool", kernel, (1, 1), work), Need("Mul", work=spec.points)]
        needs += [Need("Sub", work=work), Need("Relu", work=work)]
    return (*needs, *moments_needs(spec))


def _ideal_mass(spec: HeatmapSpec) -> float:
    """Mass of a marginal of relu(g - s), above its share of the maximum, for a Gaussian g of height 1; over cells."""
    reach = 5 * int(spec.sigma + 1)
    profile = torch.exp(-(torch.arange(-reach, reach + 1) ** 2) / (2 * spec.sigma**2))
    sums = torch.relu(profile[:, None] * profile - BACKGROUND).sum(dim=0)
    return float(torch.relu(sums - spec.threshold * sums.max()).sum())


FORM = DecodeForm(
    name="marginal-threshold",
    summary="relu(h - s), marginals, each cut at a share of its maximum, 16-bit moments, divided on the host",
    needs=_needs,
    points=marginal_threshold_points,
    build=MarginalThreshold,
    finish="moments",
    finish_params=lambda spec: {**grid_params(spec.height, spec.width), "ideal_mass": _ideal_mass(spec)},
    grid=whole_grid,
)
