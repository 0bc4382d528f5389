"""The neural renderer (module 606, steps S404, S716-S720): composited features -> a picture of four times the side."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_runtime.ray_encoding import SHUFFLE

SCALE = SHUFFLE
"""Side of the picture over that of the ray grid: a ray gives the block of pixels that leaves the exported network."""


class NeuralRenderer(nn.Module):
    """Features [B, W, n, n] -> RGB in 0..1 [B, 3, 4n, 4n].

    Enlarging is nearest and then a convolution: bilinear enlargement by four is missing on Ethos-U.

    Args:
        width: W.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        half, quarter = width // 2, width // 4
        self.coarse = nn.Conv2d(width, 3, 1)
        self.smooth = nn.Conv2d(3, 3, 5, padding=2)
        _blur(self.smooth)
        self.first = nn.Conv2d(width, half, 3, padding=1)
        self.second = nn.Conv2d(half, half, 3, padding=1)
        self.third = nn.Conv2d(half, quarter, 3, padding=1)
        self.last = nn.Conv2d(quarter, 3, 3, padding=1)

    def forward(self, features: Tensor) -> Tensor:
        """The picture: a coarse projection, enlarged, plus detail (the skip of GIRAFFE's renderer)."""
        hidden = functional.relu(self.second(functional.relu(self.first(features))))
        hidden = functional.interpolate(hidden, scale_factor=2.0, mode="nearest")
        hidden = functional.interpolate(functional.relu(self.third(hidden)), scale_factor=2.0, mode="nearest")
        coarse = functional.interpolate(self.coarse(features), scale_factor=4.0, mode="nearest")
        return torch.sigmoid(self.smooth(coarse) + self.last(hidden))


@torch.no_grad()
def _blur(layer: nn.Conv2d) -> None:
    """Begin as the filter that makes linear interpolation by four of repeated pixels, each channel by itself."""
    taps = torch.tensor([0.125, 0.25, 0.25, 0.25, 0.125])
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
    for channel in range(3):
        layer.weight[channel, channel] = taps[:, None] * taps
