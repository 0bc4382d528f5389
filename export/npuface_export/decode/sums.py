"""The steps that most forms are made of: fixed convolutions that sum maps, exact in INT8.

Modules called `moments` inside a form hold the sums that eight bits cannot: recipes give those sixteen.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode.form import HeatmapSpec
from npuface_export.decode.grid import exact_grid


def fixed_depthwise(points: int, kernel: Tensor, stride: int = 1, padding: tuple[int, int] = (0, 0)) -> nn.Conv2d:
    """A depthwise conv without bias whose every channel has the same untrained kernel [h, w]."""
    height, width = kernel.shape
    conv = nn.Conv2d(points, points, (height, width), stride, padding, groups=points, bias=False)
    conv.weight = nn.Parameter(kernel.expand(points, 1, height, width).clone(), requires_grad=False)
    return conv


def grid_across(width: int) -> Tensor:
    """The exact INT8 weights of x, [1, W]."""
    return torch.tensor(exact_grid(width).weights).reshape(1, -1)


def grid_down(height: int) -> Tensor:
    """The exact INT8 weights of y, [H, 1]."""
    return torch.tensor(exact_grid(height).weights).reshape(-1, 1)


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


class MapSoftmax(nn.Module):
    """Squash: softmax(beta h) over each map."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.shape = (spec.points, spec.height, spec.width)
        self.beta = spec.beta

    def forward(self, heatmaps: Tensor) -> tuple[Tensor]:
        """[N, K, H, W] -> [N, K, H, W]."""
        k, h, w = self.shape
        flat = (heatmaps * self.beta).reshape(-1, k, h * w)
        return (torch.softmax(flat, dim=-1).reshape(-1, k, h, w),)


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
    """Marginals -> [N, 4K, 1, 1]: mass of x, first moment of x, mass of y, first moment of y, K of each.

    What else leaves in 16 bits follows behind.
    """

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        across, down = grid_across(spec.width), grid_down(spec.height)
        self.mass_x = fixed_depthwise(spec.points, torch.ones_like(across))
        self.first_x = fixed_depthwise(spec.points, across)
        self.mass_y = fixed_depthwise(spec.points, torch.ones_like(down))
        self.first_y = fixed_depthwise(spec.points, down)

    def forward(self, x: Tensor, y: Tensor, *others: Tensor) -> Tensor:
        """[N, K, 1, W], [N, K, H, 1] and any [N, K, 1, 1] -> [N, 4K + K for each other, 1, 1]."""
        return torch.cat([self.mass_x(x), self.first_x(x), self.mass_y(y), self.first_y(y), *others], dim=1)


class MapSums(nn.Module):
    """Weights [N, K, H, W] -> [N, 3K, 1, 1]: mass, first moments of x and y, by kernels of the map's size."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        ones = torch.ones(spec.height, spec.width)
        self.mass = fixed_depthwise(spec.points, ones)
        self.first_x = fixed_depthwise(spec.points, ones * grid_across(spec.width))
        self.first_y = fixed_depthwise(spec.points, ones * grid_down(spec.height))

    def forward(self, weights: Tensor, *others: Tensor) -> Tensor:
        """[N, K, H, W] and any [N, K, 1, 1] -> [N, 3K + K for each other, 1, 1]."""
        return torch.cat([self.mass(weights), self.first_x(weights), self.first_y(weights), *others], dim=1)


class MomentsOf(nn.Module):
    """Heatmaps [N, K, H, W] -> [N, 4K or more, 1, 1]: the separable moments of the weights that a squash makes.

    A squash gives the weights and then, each [N, K, 1, 1], what leaves beside their moments.
    """

    def __init__(self, squash: nn.Module, spec: HeatmapSpec) -> None:
        super().__init__()
        self.squash = squash
        self.marginals = Marginals(spec)
        self.moments = Moments(spec)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, 4K + K for each that leaves beside, 1, 1]."""
        weights, *others = self.squash(heatmaps)
        moments: Tensor = self.moments(*self.marginals(weights), *others)
        return moments


class SumsOf(nn.Module):
    """Heatmaps [N, K, H, W] -> [N, 3K or more, 1, 1]: the sums, by kernels of the map's size, of a squash's weights."""

    def __init__(self, squash: nn.Module, spec: HeatmapSpec) -> None:
        super().__init__()
        self.squash = squash
        self.moments = MapSums(spec)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, 3K + K for each that leaves beside, 1, 1]."""
        weights, *others = self.squash(heatmaps)
        sums: Tensor = self.moments(weights, *others)
        return sums


def whole_grid(spec: HeatmapSpec) -> tuple[int, int]:
    """The cells that the grids of Moments and MapSums span (see DecodeForm.grid)."""
    return spec.height, spec.width


def grid_params(height: int, width: int) -> dict[str, float]:
    """The host half's way from moments back to cells."""
    across, down = exact_grid(width), exact_grid(height)
    return {"step_x": across.step, "offset_x": across.offset, "step_y": down.step, "offset_y": down.offset}
