"""Training losses: the supervised terms of the patent's equation (6).

Each gives a value for every map or point of every face, [N, K]; `weighted_mean` makes one number of them. So a label
that is only partly known, as one that another network gave, counts as far as it is known.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LossWeights:
    """Coefficients of equation (6): a1 L_h(edge) + a2 L_h(heat) + a3 L_p(points); and of peak_loss, our own."""

    edges: float = 0.3
    heatmaps: float = 1.0
    points: float = 1.0
    peaks: float = 0.0


def weighted_mean(values: Tensor, weights: Tensor) -> Tensor:
    """Mean of values [N, K] with weights [N, K] >= 0; 0 where every weight is 0."""
    return (values * weights).sum() / weights.sum().clamp_min(1e-6)


def heatmap_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """L_h: squared error of a map over the energy of its target. [N, K, H, W] -> [N, K].

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


def point_loss(predicted: Tensor, target: Tensor, cells: int) -> Tensor:
    """L_p: smooth-L1 of the coordinates in 64ths of the map's side, so that input sizes compare.

    [N, K, 2] -> [N, K].
    """
    unit = 64.0 / cells
    return functional.smooth_l1_loss(predicted * unit, target * unit, beta=1.0, reduction="none").mean(dim=-1)
