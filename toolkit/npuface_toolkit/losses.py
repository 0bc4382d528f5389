"""Training losses: the supervised terms of the patent's equation (6).

Each gives a value for every map or point of every face, [N, K]; `weighted_mean` makes one number of them. So a label
that is only partly known, as one that another network gave, counts as far as it is known.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LossWeights:
    """Coefficients of equation (6), a1 L_h(edges) + a2 L_h(heatmaps) + a3 L_p(points), and of peak_loss, our own.

    Attributes:
        edges, heatmaps, points, peaks: the coefficients.
        heatmap_loss, point_loss: which L_h and L_p, names in HEATMAP_LOSSES and POINT_LOSSES.
    """

    edges: float = 0.3
    heatmaps: float = 1.0
    points: float = 1.0
    peaks: float = 0.0
    heatmap_loss: str = "energy"
    point_loss: str = "smooth-l1"

    def __post_init__(self) -> None:
        if self.heatmap_loss not in HEATMAP_LOSSES:
            raise ValueError(f"heatmap_loss {self.heatmap_loss!r} is none of {', '.join(HEATMAP_LOSSES)}")
        if self.point_loss not in POINT_LOSSES:
            raise ValueError(f"point_loss {self.point_loss!r} is none of {', '.join(POINT_LOSSES)}")


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of values [N, K] with weights [N, K] >= 0; 0 where every weight is 0."""
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)


def energy_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """Squared error of a map over the energy of its target. [N, K, H, W] -> [N, K].

    An all-zero prediction costs 1 whatever the size of the map.
    """
    error = (predicted.float() - target).square().sum(dim=(-2, -1))
    return error / target.square().sum(dim=(-2, -1)).clamp_min(1.0)


def peak_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """How far the peak stands below that of the target, squared. [N, K, H, W] -> [N, K].

    The level of a peak is the map's projection on its target, sum(h g) / sum(g^2), which is 1 for h = g. Where a
    network is unsure, the squared error of a map is least with a low and wide peak; a decode with a fixed threshold
    needs a high one.
    """
    level = (predicted.float() * target).sum(dim=(-2, -1)) / target.square().sum(dim=(-2, -1)).clamp_min(1.0)
    return functional.relu(1 - level).square()


def adaptive_wing_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """The adaptive wing loss (Wang et al., ICCV 2019, arXiv:1904.07399, equations 3 to 6). [N, K, H, W] -> [N, K].

    Nearly quadratic where the target is background, a logarithm near its peaks; omega 14, theta 0.5, epsilon 1, alpha
    2.1; cells near a peak (the target widened by a cell, above 0.2) count 11 times. Mean over the cells of a map.
    """
    omega, theta, alpha, near = 14.0, 0.5, 2.1, 10.0
    error, power = (predicted.float() - target).abs(), alpha - target
    at_theta = theta**power
    slope = omega / (1 + at_theta) * power * theta ** (power - 1)
    offset = theta * slope - omega * torch.log1p(at_theta)
    loss = torch.where(error < theta, omega * torch.log1p(error.clamp(max=theta) ** power), slope * error - offset)
    mask = functional.max_pool2d(target, 3, stride=1, padding=1) > 0.2
    return (loss * (1 + near * mask)).mean(dim=(-2, -1))


def smooth_l1_loss(predicted: Tensor, target: Tensor, cells: int) -> Tensor:
    """Smooth-L1 of the coordinates in 64ths of the map's side, so that input sizes compare. [N, K, 2] -> [N, K]."""
    unit = 64.0 / cells
    return functional.smooth_l1_loss(predicted * unit, target * unit, beta=1.0, reduction="none").mean(dim=-1)


def wing_loss(predicted: Tensor, target: Tensor, cells: int) -> Tensor:
    """The wing loss (Feng et al., CVPR 2018, arXiv:1711.06753, equation 5), w 10, epsilon 2. [N, K, 2] -> [N, K].

    In 256ths of the map's side, the pixels of the paper's pictures.
    """
    width, curvature = 10.0, 2.0
    error = (predicted - target).abs() * (256.0 / cells)
    inside = width * torch.log1p(error / curvature)
    outside = error - (width - width * math.log1p(width / curvature))
    return torch.where(error < width, inside, outside).mean(dim=-1)


HEATMAP_LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "energy": energy_loss,
    "adaptive-wing": adaptive_wing_loss,
}
POINT_LOSSES: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {"smooth-l1": smooth_l1_loss, "wing": wing_loss}
