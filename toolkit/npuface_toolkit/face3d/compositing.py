"""Volume rendering of features, as NPUs can run it, and the textbook form that it must equal.

Transmittance T_j = exp(-delta sum_{i<j} density_i), weights w_j = T_j - T_{j+1} (NeRF, equation 3). Exclusive
cumulative sums are a convolution with ones: cumprod and cumsum are missing on most NPUs and fail in ONNX exporters.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

DEEPEST = 6.0
"""Optical depth beyond which a ray counts as stopped: exp(-6) is half a step of an 8-bit picture. ReLU6 cuts there, so
that all steps of an 8-bit tensor lie where light still passes; up to the sum of a whole ray it would be a twelfth."""


def composite_reference(density: Tensor, features: Tensor, delta: float) -> tuple[Tensor, Tensor]:
    """The textbook form, with cumprod. Density [B, 1, S, R] and features [B, C, S, R] -> sum over samples
    [B, C, 1, R] and final transmittance [B, 1, 1, R]."""
    clear = torch.exp(-delta * density)
    transmittance = torch.cumprod(torch.cat([torch.ones_like(clear[:, :, :1]), clear], 2), 2)
    weights = transmittance[:, :, :-1] - transmittance[:, :, 1:]
    return (weights * features).sum(2, keepdim=True), transmittance[:, :, -1:]


class Compositing(nn.Module):
    """The form that trains and ships: convolution with ReLU6, Exp, convolution, depthwise convolution.

    Args:
        samples: S.
    """

    cumulative: Tensor
    negative: Tensor
    difference: Tensor

    def __init__(self, samples: int) -> None:
        super().__init__()
        self.samples = samples
        self.register_buffer("cumulative", torch.ones(1, 1, samples, 1), persistent=False)
        self.register_buffer("negative", -torch.ones(1, 1, 1, 1), persistent=False)
        self.register_buffer("difference", torch.tensor([1.0, -1.0]).reshape(1, 1, 2, 1), persistent=False)

    def transmittance(self, optical: Tensor) -> Tensor:
        """What is left of the light before each sample and behind the last.

        Args:
            optical: optical depth of each sample [B, 1, S, R], 0 to DEEPEST.

        Returns:
            [B, 1, S + 1, R].
        """
        # ReLU6 directly behind the convolution: converters make one operator of both
        sums = functional.relu6(functional.conv2d(optical, self.cumulative, padding=(self.samples, 0)))
        return torch.exp(functional.conv2d(sums[:, :, : self.samples + 1], self.negative))

    def weights(self, transmittance: Tensor) -> Tensor:
        """The share of each sample in its ray: [B, 1, S + 1, R] -> [B, 1, S, R]."""
        return functional.conv2d(transmittance, self.difference)

    def total(self, weights: Tensor, features: Tensor) -> Tensor:
        """The weighted sum of features [B, C, S, R] over the samples [B, C, 1, R].

        A depthwise convolution with ones. An average pooling would do, but its 8-bit kernels keep the scale of what
        enters: a mean of mostly empty samples has a few of its steps.
        """
        channels = features.shape[1]
        return functional.conv2d(weights * features, self.cumulative.expand(channels, 1, -1, 1), groups=channels)
