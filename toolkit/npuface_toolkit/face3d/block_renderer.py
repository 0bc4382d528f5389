"""The neural renderer as it is exported: its last enlargement by two is left to the host.

A convolution over an enlargement by nearest neighbours reads each cell several times. The same picture comes of a
convolution of 3 x 3 cells over what was to be enlarged, with a channel for each pixel of the block that a cell becomes:
four times fewer products, and channels that fill the units of an engine where three colours leave most of them idle.
The host puts the pixels where they belong (npuface_runtime.face_renderer).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_runtime.ray_encoding import SHUFFLE
from npuface_toolkit.face3d.neural_renderer import NeuralRenderer


class BlockRenderer(nn.Module):
    """Features [B, W, n, n] -> RGB in 0..1 as blocks of pixels [B, 12, 2n, 2n]; see RendererRecord.output_shape.

    Args:
        plain: what it equals.
    """

    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        assert isinstance(plain, NeuralRenderer)
        self.coarse, self.first, self.second, self.third = plain.coarse, plain.first, plain.second, plain.third
        self.smooth, self.last = _over_cells(plain.smooth), _over_cells(plain.last)

    def forward(self, features: Tensor) -> Tensor:
        """See NeuralRenderer.forward."""
        hidden = functional.relu(self.second(functional.relu(self.first(features))))
        hidden = functional.relu(self.third(functional.interpolate(hidden, scale_factor=2.0, mode="nearest")))
        coarse = functional.interpolate(self.coarse(features), scale_factor=2.0, mode="nearest")
        return torch.sigmoid(self.smooth(coarse) + self.last(hidden))


@torch.no_grad()
def _over_cells(plain: nn.Conv2d) -> nn.Conv2d:
    """A convolution (3 x 3 or 5 x 5, same padding) behind an enlargement by two -> one before it, of 3 x 3.

    Pixel `a` of a cell sees with its tap `u` the pixel a + u - padding, which is in the cell (a + u - padding) // 2.
    Channels out are ordered by row in the block, column in the block, channel.
    """
    size, padding = plain.kernel_size[0], plain.kernel_size[0] // 2
    weight = torch.zeros(SHUFFLE, SHUFFLE, plain.out_channels, plain.in_channels, 3, 3)
    for a in range(SHUFFLE):
        for b in range(SHUFFLE):
            for u in range(size):
                for v in range(size):
                    row, column = ((at - padding) // SHUFFLE + 1 for at in (a + u, b + v))
                    weight[a, b, :, :, row, column] += plain.weight[:, :, u, v]
    made = nn.Conv2d(plain.in_channels, SHUFFLE**2 * plain.out_channels, 3, padding=1)
    made.weight.copy_(weight.flatten(0, 2))
    assert plain.bias is not None
    assert made.bias is not None
    made.bias.copy_(plain.bias.repeat(SHUFFLE**2))
    return made
