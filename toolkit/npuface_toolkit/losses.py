"""Training losses: the supervised terms of the patent's equation (6)."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional


@dataclass(frozen=True)
class LossWeights:
    """Coefficients of equation (6): a1 L_h(edge) + a2 L_h(heat) + a3 L_p(points)."""

    edges: float = 0.3
    heatmaps: float = 1.0
    points: float = 1.0


def heatmap_loss(predicted: Tensor, target: Tensor) -> Tensor:
    """L_h: squared error of a map over the energy of its target, mean over maps. [N, K, H, W] -> scalar.

    An all-zero prediction costs 1 whatever the size of the map.
    """
    error = (predicted.float() - target).square().sum(dim=(-2, -1))
    return (error / target.square().sum(dim=(-2, -1)).clamp_min(1.0)).mean()


def point_loss(predicted: Tensor, target: Tensor, cells: int) -> Tensor:
    """L_p: smooth-L1 of the coordinates in 64ths of the map's side, so that input sizes are comparable."""
    unit = 64.0 / cells
    return functional.smooth_l1_loss(predicted * unit, target * unit, beta=1.0)
