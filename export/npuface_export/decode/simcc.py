"""simcc: two 1-D classifiers a landmark, exp(beta (l - max l)) of each, 16-bit moments, division on the host.

A network of this kind classifies the column and the row on their own, and there is no map to sum over. What is left
is the end of the separable forms.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need
from npuface_export.decode.sums import fixed_depthwise, grid_across, grid_params, whole_grid


class _AxisMoments(nn.Module):
    """Weights of both axes -> [N, 4K, 1, 1]: mass of x, first moment of x, mass of y, first moment of y."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        grids = [grid_across(cells) for cells in (spec.width, spec.height)]
        self.mass = nn.ModuleList(fixed_depthwise(spec.points, torch.ones_like(grid)) for grid in grids)
        self.first = nn.ModuleList(fixed_depthwise(spec.points, grid) for grid in grids)

    def forward(self, x: Tensor, y: Tensor) -> Tensor:
        return torch.cat([self.mass[0](x), self.first[0](x), self.mass[1](y), self.first[1](y)], dim=1)


class SimCC(nn.Module):
    """Classifiers [N, K, 1, W + H] -> [N, 4K, 1, 1]: mass and first moment of x, then of y."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.width, self.beta = spec.width, spec.beta
        self.highest = nn.ModuleList(nn.MaxPool2d((1, cells), stride=1) for cells in (spec.width, spec.height))
        self.moments = _AxisMoments(spec)

    def forward(self, logits: Tensor) -> Tensor:
        """[N, K, 1, W + H] -> [N, 4K, 1, 1]."""
        axes = (logits[..., : self.width], logits[..., self.width :])
        weights = (
            torch.exp((axis - highest(axis)) * self.beta) for axis, highest in zip(axes, self.highest, strict=True)
        )
        moments: Tensor = self.moments(*weights)
        return moments


def classifier_points(logits: Tensor, spec: HeatmapSpec) -> Tensor:
    """[N, K, 1, W + H] -> points [N, K, 2] in cells: the mean column and row under softmax(beta l)."""
    means = []
    for axis in (logits[:, :, 0, : spec.width], logits[:, :, 0, spec.width :]):
        place = torch.arange(axis.shape[-1], dtype=axis.dtype, device=axis.device)
        means.append((torch.softmax(spec.beta * axis, dim=-1) * place).sum(dim=-1))
    return torch.stack(means, dim=-1)


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    k, needs = spec.points, []
    for cells in (spec.width, spec.height):
        needs += [Need(operator, work=k * cells) for operator in ("Slice", "Sub", "Mul", "Exp")]
        needs.append(Need("MaxPool", (1, cells), (1, 1), k * cells))
        needs += [Need("Conv", (1, cells), (1, 1), k * cells)] * 2
    return (*needs, Need("Concat", work=4 * k))


def _params(spec: HeatmapSpec) -> dict[str, float]:
    """The mass of one sure answer is that of exp(-beta d^2 / (2 sigma^2)) over an axis, and 1 at least."""
    ideal = max(1.0, spec.sigma * math.sqrt(2 * math.pi / spec.beta))
    return {**grid_params(spec.height, spec.width), "ideal_mass": ideal}


FORM = DecodeForm(
    name="simcc",
    summary="exp(beta (l - max l)) of two 1-D classifiers, 16-bit moments, divided on the host",
    needs=_needs,
    points=classifier_points,
    build=SimCC,
    finish="moments",
    finish_params=_params,
    kinds=("simcc",),
    grid=whole_grid,
)
