"""Volume rendering of features, as NPUs can run it, and the textbook form that it must equal.

Transmittance T_j = exp(-delta sum_{i<j} density_i), weights w_j = T_j - T_{j+1} (NeRF, equation 3). Exclusive
cumulative sums are a convolution with ones: cumprod and cumsum are missing on most NPUs and fail in ONNX exporters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

DEEPEST = 8.0
"""Optical depth beyond which a ray counts as stopped: exp(-8) is below one step of an 8-bit picture."""


def composite_reference(density: Tensor, features: Tensor, delta: float) -> tuple[Tensor, Tensor]:
    """The textbook form, with cumprod. Density [B, 1, S, R] and features [B, C, S, R] -> sum over samples
    [B, C, 1, R] and final transmittance [B, 1, 1, R]."""
    clear = torch.exp(-delta * density)
    transmittance = torch.cumprod(torch.cat([torch.ones_like(clear[:, :, :1]), clear], 2), 2)
    weights = transmittance[:, :, :-1] - transmittance[:, :, 1:]
    return (weights * features).sum(2, keepdim=True), transmittance[:, :, -1:]


class Compositing(nn.Module):
    """The form that trains and ships: convolution, Clip, Exp, convolution, AveragePool.

    Args:
        samples: S.
        delta: length that one sample stands for.
    """

    cumulative: Tensor
    difference: Tensor

    def __init__(self, samples: int, delta: float) -> None:
        super().__init__()
        self.samples = samples
        self.register_buffer("cumulative", torch.full((1, 1, samples, 1), -delta), persistent=False)
        self.register_buffer("difference", torch.tensor([1.0, -1.0]).reshape(1, 1, 2, 1), persistent=False)

    def transmittance(self, density: Tensor) -> Tensor:
        """What is left of the light before each sample and behind the last: [B, 1, S, R] -> [B, 1, S + 1, R]."""
        sums = functional.conv2d(density, self.cumulative, padding=(self.samples, 0))[:, :, : self.samples + 1]
        return torch.exp(sums.clamp(min=-DEEPEST))  # never above 0: density is not negative

    def weights(self, transmittance: Tensor) -> Tensor:
        """The share of each sample in its ray: [B, 1, S + 1, R] -> [B, 1, S, R]."""
        return functional.conv2d(transmittance, self.difference)

    def mean(self, weights: Tensor, features: Tensor) -> Tensor:
        """The weighted sum of features [B, C, S, R] over the samples, DIVIDED BY S: [B, C, 1, R].

        Whoever uses it multiplies his next convolution's kernel by S, which costs nothing.
        """
        return functional.avg_pool2d(weights * features, (self.samples, 1))
