"""The neural renderer as it is exported: at the grid of rays from end to end, its enlargements are left to the host.

A convolution over an enlargement by nearest neighbours reads each cell several times. The same picture comes of a
convolution of 3 x 3 cells over what was to be enlarged, with a channel for each pixel of the block that a cell becomes:
no resizing is left, and channels fill the units of an engine where three colours leave most of them idle. The host puts
the pixels where they belong (npuface_runtime.face_renderer).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.face3d.neural_renderer import SCALE, NeuralRenderer


class BlockRenderer(nn.Module):
    """Features [B, W, n, n] -> RGB in 0..1 as blocks of pixels [B, 48, n, n]; see RendererRecord.output_shape.

    Args:
        plain: what it equals.
    """

    def __init__(self, plain: nn.Module) -> None:
        super().__init__()
        assert isinstance(plain, NeuralRenderer)
        self.coarse, self.first, self.second = plain.coarse, plain.first, plain.second
        self.smooth = _over_cells(plain.smooth, 1, SCALE)
        self.third = _over_cells(plain.third, 1, 2)
        self.last = _over_cells(plain.last, 2, 2)

    def forward(self, features: Tensor) -> Tensor:
        """See NeuralRenderer.forward."""
        hidden = functional.relu(self.second(functional.relu(self.first(features))))
        hidden = functional.relu(self.third(hidden))
        return torch.sigmoid(self.smooth(self.coarse(features)) + self.last(hidden))


@torch.no_grad()
def _over_cells(plain: nn.Conv2d, inside: int, enlarged: int) -> nn.Conv2d:
    """A convolution (up to 5 x 5, same padding) behind an enlargement -> one before it, of 3 x 3 cells.

    A cell that enters holds inside x inside pixels, each of which becomes enlarged x enlarged. Pixel `a` of a cell that
    leaves sees with its tap `u` the pixel a + u - padding, counted from the first of its own cell. Channels are ordered
    by row in the cell, column in the cell, channel.
    """
    size, padding, side = plain.kernel_size[0], plain.kernel_size[0] // 2, inside * enlarged
    weight = torch.zeros(side, side, plain.out_channels, inside, inside, plain.in_channels, 3, 3)
    for a in range(side):
        for b in range(side):
            for u in range(size):
                for v in range(size):
                    (row, y), (column, x) = (divmod(at - padding + side, side) for at in (a + u, b + v))
                    weight[a, b, :, y // enlarged, x // enlarged, :, row, column] += plain.weight[:, :, u, v]
    made = nn.Conv2d(inside**2 * plain.in_channels, side**2 * plain.out_channels, 3, padding=1)
    made.weight.copy_(weight.flatten(3, 5).flatten(0, 2))
    assert plain.bias is not None
    assert made.bias is not None
    made.bias.copy_(plain.bias.repeat(side**2))
    return made
