"""A high-resolution backbone after HRNet (Sun et al., CVPR 2019, arXiv:1902.09212): several resolutions side by side.

Where an hourglass goes down and up again, it keeps the full resolution all along, adds a coarser branch at every stage,
and lets all branches exchange what they know at the end of each. Blocks are the paper's basic blocks, and what goes
up goes up by the nearest neighbour, as there.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.blocks import conv_bn

STAGES = 4
"""Branches at the end: resolutions 1, 1/2, 1/4 and 1/8 of the first."""
_BLOCKS = 2
"""Basic blocks of a branch in one stage; the paper has 4."""


class BasicBlock(nn.Module):
    """Two 3 x 3 convolutions and a shortcut (He et al., CVPR 2016)."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(conv_bn(channels, channels, 3), conv_bn(channels, channels, 3, relu=False))

    def forward(self, x: Tensor) -> Tensor:
        """[N, channels, H, W] -> the same shape."""
        return functional.relu(x + self.body(x))


class Exchange(nn.Module):
    """Every branch becomes the sum of all branches, brought to its resolution and its channels."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.ways = nn.ModuleList(
            nn.ModuleList(_way(widths, source, goal) for source in range(len(widths))) for goal in range(len(widths))
        )

    def forward(self, branches: list[Tensor]) -> list[Tensor]:
        """Branch i is [N, widths[i], H / 2^i, W / 2^i], before and after."""
        mixed = []
        for ways in self.ways:
            assert isinstance(ways, nn.ModuleList)
            total: Tensor | None = None
            for way, branch in zip(ways, branches, strict=True):
                brought = way(branch)
                total = brought if total is None else total + brought
            assert total is not None
            mixed.append(functional.relu(total))
        return mixed


def _way(widths: tuple[int, ...], source: int, goal: int) -> nn.Module:
    """From one branch to another: down by convolutions of stride 2, up by a 1 x 1 convolution and the nearest."""
    if source == goal:
        return nn.Identity()
    if source > goal:
        return _up(widths[source], widths[goal], source - goal)
    steps = [conv_bn(widths[source], widths[source], 3, stride=2) for _ in range(goal - source - 1)]
    return nn.Sequential(*steps, conv_bn(widths[source], widths[goal], 3, stride=2, relu=False))


def _up(inputs: int, outputs: int, halvings: int) -> nn.Module:
    grow = nn.Upsample(scale_factor=1 << halvings, mode="nearest")
    return nn.Sequential(conv_bn(inputs, outputs, 1, relu=False), grow)


class HighResolution(nn.Module):
    """Features [N, inputs, H, W] -> [N, outputs, H, W]; H and W divisible by 8.

    Args:
        inputs: channels that enter.
        width: channels of the finest branch (18 in HRNet-W18); each coarser one has twice as many.
        outputs: channels that leave, fused from all branches.
    """

    def __init__(self, inputs: int, width: int, outputs: int) -> None:
        super().__init__()
        widths = tuple(width << branch for branch in range(STAGES))
        self.enter = conv_bn(inputs, width, 3)
        self.starts = nn.ModuleList(conv_bn(widths[i], widths[i + 1], 3, stride=2) for i in range(STAGES - 1))
        self.branches = nn.ModuleList(
            nn.ModuleList(nn.Sequential(*(BasicBlock(w) for _ in range(_BLOCKS))) for w in widths[: stage + 1])
            for stage in range(STAGES)
        )
        self.exchanges = nn.ModuleList(Exchange(widths[: stage + 1]) for stage in range(1, STAGES))
        self.fuse = nn.ModuleList(_up(widths[branch], outputs, branch) for branch in range(1, STAGES))
        self.finest = conv_bn(width, outputs, 1, relu=False)

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H, W]."""
        maps = [self.enter(x)]
        for stage, branches in enumerate(self.branches):
            assert isinstance(branches, nn.ModuleList)
            maps = [branch(each) for branch, each in zip(branches, maps, strict=True)]
            if stage:
                maps = self.exchanges[stage - 1](maps)
            if stage < STAGES - 1:
                maps.append(self.starts[stage](maps[-1]))
        total: Tensor = self.finest(maps[0])
        for fuse, branch in zip(self.fuse, maps[1:], strict=True):
            total = total + fuse(branch)
        return functional.relu(total)
