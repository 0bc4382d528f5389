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
from npuface_export.decode.grid import exact_grid


class Squash(nn.Module):
    """Heatmaps [N, K, H, W] -> relu(h - t max h), the same shape."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.rows = nn.MaxPool2d((spec.height, 1), stride=1)
        self.columns = nn.MaxPool2d((1, spec.width), stride=1)
        self.threshold = spec.threshold

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, K, H, W]."""
        peak = self.columns(self.rows(heatmaps))
        return torch.relu(heatmaps - peak * self.threshold)


def _fixed_depthwise(points: int, kernel: Tensor) -> nn.Conv2d:
    """A depthwise conv without bias whose every channel has the same untrained kernel [h, w]."""
    conv = nn.Conv2d(points, points, (kernel.shape[0], kernel.shape[1]), groups=points, bias=False)
    conv.weight = nn.Parameter(kernel.expand(points, 1, *kernel.shape).clone(), requires_grad=False)
    return conv


class Marginals(nn.Module):
    """Weights [N, K, H, W] -> their sums over rows [N, K, 1, W] and over columns [N, K, H, 1]."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.over_rows = _fixed_depthwise(spec.points, torch.ones(spec.height, 1))
        self.over_columns = _fixed_depthwise(spec.points, torch.ones(1, spec.width))

    def forward(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """[N, K, H, W] -> [N, K, 1, W] and [N, K, H, 1]."""
        return self.over_rows(weights), self.over_columns(weights)


class Moments(nn.Module):
    """Marginals -> [N, 4K, 1, 1]: mass of x, first moment of x, mass of y, first moment of y, K of each."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        across = torch.tensor(exact_grid(spec.width).weights).reshape(1, -1)
        down = torch.tensor(exact_grid(spec.height).weights).reshape(-1, 1)
        self.mass_x = _fixed_depthwise(spec.points, torch.ones_like(across))
        self.first_x = _fixed_depthwise(spec.points, across)
        self.mass_y = _fixed_depthwise(spec.points, torch.ones_like(down))
        self.first_y = _fixed_depthwise(spec.points, down)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        """[N, K, 1, W] and [N, K, H, 1] -> [N, 4K, 1, 1]."""
        return torch.cat([self.mass_x(x), self.first_x(x), self.mass_y(y), self.first_y(y)], dim=1)


class RelativeThreshold(nn.Module):
    """Heatmaps [N, K, H, W] -> moments [N, 4K, 1, 1]."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.squash = Squash(spec)
        self.marginals = Marginals(spec)
        self.moments = Moments(spec)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, 4K, 1, 1]."""
        moments: Tensor = self.moments(*self.marginals(self.squash(heatmaps)))
        return moments


def relative_threshold_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells: the centre of mass of relu(h - t max h)."""
    peak = heatmaps.amax(dim=(-2, -1), keepdim=True)
    return expected_cell(torch.relu(heatmaps - spec.threshold * peak))


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    column, row = (spec.height, 1), (1, spec.width)
    windowed = tuple(Need(operator, kernel) for operator in ("MaxPool", "Conv") for kernel in (column, row))
    return (*windowed, Need("Mul"), Need("Sub"), Need("Relu"), Need("Concat"))


def ideal_mass(spec: HeatmapSpec) -> float:
    """Sum over the plane of relu(g - t) for a Gaussian g with peak 1: 2 pi sigma^2 (1 - t + t ln t)."""
    t = spec.threshold
    return 2 * math.pi * spec.sigma**2 * (1 - t + t * math.log(t))


def _finish_params(spec: HeatmapSpec) -> dict[str, float]:
    across, down = exact_grid(spec.width), exact_grid(spec.height)
    return {
        "step_x": across.step,
        "offset_x": across.offset,
        "step_y": down.step,
        "offset_y": down.offset,
        "ideal_mass": ideal_mass(spec),
    }


FORM = DecodeForm(
    name="relative-threshold",
    summary="relu(h - t max h), separable sums, 16-bit moments, divided on the host",
    rank=0,
    needs=_needs,
    points=relative_threshold_points,
    build=RelativeThreshold,
    finish="moments",
    finish_params=_finish_params,
)
