"""A U-Net (Ronneberger et al., MICCAI 2015, arXiv:1505.04597) as a teacher's body, at a quarter of the picture's size.

Double convolutions, max pooling down; up by the nearest neighbour and a convolution, beside what came down at the same
resolution. Padded, so that it gives what it gets in size; with batch norm, which the paper did not have yet.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_toolkit.blocks import conv_bn


def double_conv(inputs: int, outputs: int) -> nn.Sequential:
    """Two 3x3 convolutions."""
    return nn.Sequential(conv_bn(inputs, outputs, 3), conv_bn(outputs, outputs, 3))


class UNet(nn.Module):
    """[N, inputs, H, W] -> [N, outputs, H, W]; H and W divisible by 2 ** depth.

    Args:
        channels: at the full resolution; each coarser one has twice as many.
    """

    def __init__(self, inputs: int, channels: int, depth: int, outputs: int) -> None:
        super().__init__()
        widths = [channels << level for level in range(depth + 1)]
        self.enter = double_conv(inputs, channels)
        self.shrink = nn.MaxPool2d(2)
        self.down = nn.ModuleList(double_conv(widths[i], widths[i + 1]) for i in range(depth))
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")
        self.narrow = nn.ModuleList(conv_bn(widths[i + 1], widths[i], 3) for i in range(depth))
        self.up = nn.ModuleList(double_conv(2 * widths[i], widths[i]) for i in range(depth))
        self.leave = conv_bn(channels, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        x = self.enter(x)
        skips = []
        for down in self.down:
            skips.append(x)
            x = down(self.shrink(x))
        for narrow, up, skip in reversed(list(zip(self.narrow, self.up, skips, strict=True))):
            x = up(torch.cat([skip, narrow(self.grow(x))], dim=1))
        out: Tensor = self.leave(x)
        return out
