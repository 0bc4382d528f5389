"""Separable sums: the marginals of non-negative weights, their moments, and the point that the moments give.

Every form that ends in a centre of mass can end here. Columns and rows of ones give the two marginals, and four
1-D sums a landmark (mass and first moment of each) are all that has to be finer than 8 bits.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode.form import HeatmapSpec, Need
from npuface_export.decode.grid import exact_grid


def fixed_depthwise(points: int, kernel: Tensor) -> nn.Conv2d:
    """A depthwise conv without bias whose every channel has the same untrained kernel [h, w]."""
    conv = nn.Conv2d(points, points, (kernel.shape[0], kernel.shape[1]), groups=points, bias=False)
    conv.weight = nn.Parameter(kernel.expand(points, 1, *kernel.shape).clone(), requires_grad=False)
    return conv


class MapMaximum(nn.Module):
    """Heatmaps [N, K, H, W] -> the maximum of each map [N, K, 1, 1], as two max-pools."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.rows = nn.MaxPool2d((spec.height, 1), stride=1)
        self.columns = nn.MaxPool2d((1, spec.width), stride=1)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, K, 1, 1]."""
        peak: Tensor = self.columns(self.rows(heatmaps))
        return peak


class Marginals(nn.Module):
    """Weights [N, K, H, W] -> their sums over rows [N, K, 1, W] and over columns [N, K, H, 1]."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.over_rows = fixed_depthwise(spec.points, torch.ones(spec.height, 1))
        self.over_columns = fixed_depthwise(spec.points, torch.ones(1, spec.width))

    def forward(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """[N, K, H, W] -> [N, K, 1, W] and [N, K, H, 1]."""
        return self.over_rows(weights), self.over_columns(weights)


class Moments(nn.Module):
    """Marginals -> [N, 4K, 1, 1]: mass of x, first moment of x, mass of y, first moment of y, K of each."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        across = torch.tensor(exact_grid(spec.width).weights).reshape(1, -1)
        down = torch.tensor(exact_grid(spec.height).weights).reshape(-1, 1)
        self.mass_x = fixed_depthwise(spec.points, torch.ones_like(across))
        self.first_x = fixed_depthwise(spec.points, across)
        self.mass_y = fixed_depthwise(spec.points, torch.ones_like(down))
        self.first_y = fixed_depthwise(spec.points, down)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """[N, K, 1, W] and [N, K, H, 1] -> [N, 4K, 1, 1]."""
        return torch.cat([self.mass_x(x), self.first_x(x), self.mass_y(y), self.first_y(y)], dim=1)


class MomentsOf(nn.Module):
    """Heatmaps [N, K, H, W] -> moments [N, 4K, 1, 1] of what a squash makes of them."""

    def __init__(self, squash: nn.Module, spec: HeatmapSpec) -> None:
        super().__init__()
        self.squash = squash
        self.marginals = Marginals(spec)
        self.moments = Moments(spec)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, 4K, 1, 1]."""
        moments: Tensor = self.moments(*self.marginals(self.squash(heatmaps)))
        return moments


def maximum_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What MapMaximum asks of the NPU."""
    return Need("MaxPool", (spec.height, 1)), Need("MaxPool", (1, spec.width))


def moments_needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    """What Marginals and Moments ask of the NPU."""
    return Need("Conv", (spec.height, 1)), Need("Conv", (1, spec.width)), Need("Concat")


def grid_params(spec: HeatmapSpec) -> dict[str, float]:
    """The host half's way from moments back to cells."""
    across, down = exact_grid(spec.width), exact_grid(spec.height)
    return {"step_x": across.step, "offset_x": across.offset, "step_y": down.step, "offset_y": down.offset}
