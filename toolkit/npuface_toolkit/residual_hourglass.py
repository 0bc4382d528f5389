"""The residual hourglass, the body of strong landmark networks: a teacher; stacked, what the student is compared with.

After Newell et al., "Stacked Hourglass Networks for Human Pose Estimation" (ECCV 2016, arXiv:1603.06937): as many
channels at every resolution, bottleneck residual blocks, max pooling on the way down, the nearest neighbour on the way
up.

The network of "Adaptive Wing Loss" (Wang et al., ICCV 2019) is four of them in a row, each with a head of its own, made
of the blocks of Bulat and Tzimiropoulos (ICCV 2017, arXiv:1703.07332). Here every convolution is followed by its batch
norm, which exports fold into it, where theirs go before; and the coordinate channels that theirs adds to two
convolutions of each stack, which change next to nothing in what it costs, are left out.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.blocks import conv_bn


class Bottleneck(nn.Module):
    """1x1 to half the channels, 3x3, 1x1 back, and a shortcut, which is a 1x1 where the channels change."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half = outputs // 2
        self.body = nn.Sequential(
            conv_bn(inputs, half, 1), conv_bn(half, half, 3), conv_bn(half, outputs, 1, relu=False)
        )
        self.shortcut: nn.Module = nn.Identity() if inputs == outputs else conv_bn(inputs, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W]."""
        out: Tensor = functional.relu(self.body(x) + self.shortcut(x))
        return out


class HierarchicalBlock(nn.Module):
    """Three 3x3 convolutions, each on what the one before gave, side by side, and a shortcut (ICCV 2017, figure 4b)."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        half, quarter = outputs // 2, outputs // 4
        self.first = conv_bn(inputs, half, 3)
        self.second = conv_bn(half, quarter, 3)
        self.third = conv_bn(quarter, quarter, 3)
        self.shortcut: nn.Module = nn.Identity() if inputs == outputs else conv_bn(inputs, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W]."""
        first = self.first(x)
        second = self.second(first)
        out: Tensor = torch.cat([first, second, self.third(second)], dim=1) + self.shortcut(x)
        return out


Block = Callable[[int, int], nn.Module]


class ResidualStem(nn.Module):
    """RGB [N, 3, S, S] -> [N, channels, S / 4, S / 4]."""

    def __init__(self, channels: int, block: Block = Bottleneck) -> None:
        super().__init__()
        half, quarter = channels // 2, channels // 4
        self.enter = nn.Sequential(conv_bn(3, quarter, 7, stride=2), block(quarter, half))
        self.shrink = nn.MaxPool2d(2)
        self.leave = nn.Sequential(block(half, half), block(half, channels))

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        out: Tensor = self.leave(self.shrink(self.enter(pictures)))
        return out


class ResidualHourglass(nn.Module):
    """[N, channels, H, W] -> the same shape; H and W divisible by 2 ** depth."""

    def __init__(self, channels: int, depth: int, block: Block = Bottleneck) -> None:
        super().__init__()
        self.skip = block(channels, channels)
        self.shrink = nn.MaxPool2d(2)
        self.down = block(channels, channels)
        self.inner: nn.Module = (
            ResidualHourglass(channels, depth - 1, block) if depth > 1 else block(channels, channels)
        )
        self.up = block(channels, channels)
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> Tensor:
        """See the class."""
        low = self.up(self.inner(self.down(self.shrink(x))))
        out: Tensor = self.skip(x) + self.grow(low)
        return out


def awing_hourglass(channels: int, depth: int) -> nn.Sequential:
    """One stack's body as in "Adaptive Wing Loss": the hourglass, a block and a 1x1 convolution."""
    hourglass = ResidualHourglass(channels, depth, HierarchicalBlock)
    return nn.Sequential(hourglass, HierarchicalBlock(channels, channels), conv_bn(channels, channels, 1))
