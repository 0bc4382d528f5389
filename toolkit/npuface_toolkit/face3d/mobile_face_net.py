"""MobileFaceNet (Chen et al., 2018), in the layout of the public PyTorch weights: RGB 112 x 96 -> 128 numbers."""

from __future__ import annotations

from torch import Tensor, nn

SIZE = (112, 96)
_BLOCKS = ((2, 64, 5, 2), (4, 128, 1, 2), (2, 128, 6, 1), (4, 128, 1, 2), (2, 128, 2, 1))
"""Expansion, channels, how many, stride of the first."""


class _ConvBlock(nn.Module):
    def __init__(
        self,
        inner: int,
        outer: int,
        kernel: int | tuple[int, int],
        stride: int,
        padding: int,
        groups: int,
        linear: bool,
    ) -> None:
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(outer)
        self.prelu: nn.Module = nn.Identity() if linear else nn.PReLU(outer)

    def forward(self, maps: Tensor) -> Tensor:
        made: Tensor = self.prelu(self.bn(self.conv(maps)))
        return made


class _Bottleneck(nn.Module):
    def __init__(self, inner: int, outer: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inner * expansion
        self.connect = stride == 1 and inner == outer
        self.conv = nn.Sequential(
            nn.Conv2d(inner, wide, 1, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, wide, 3, stride, 1, groups=wide, bias=False),
            nn.BatchNorm2d(wide),
            nn.PReLU(wide),
            nn.Conv2d(wide, outer, 1, bias=False),
            nn.BatchNorm2d(outer),
        )

    def forward(self, maps: Tensor) -> Tensor:
        made: Tensor = self.conv(maps)
        return maps + made if self.connect else made


class MobileFaceNet(nn.Module):
    """RGB in 0..1 [B, 3, 112, 96] -> [B, 128]."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = _ConvBlock(3, 64, 3, 2, 1, 1, False)
        self.dw_conv1 = _ConvBlock(64, 64, 3, 1, 1, 64, False)
        inner, blocks = 64, []
        for expansion, outer, count, stride in _BLOCKS:
            for number in range(count):
                blocks.append(_Bottleneck(inner, outer, stride if number == 0 else 1, expansion))
                inner = outer
        self.blocks = nn.Sequential(*blocks)
        self.conv2 = _ConvBlock(128, 512, 1, 1, 0, 1, False)
        self.linear7 = _ConvBlock(512, 512, (7, 6), 1, 0, 512, True)
        self.linear1 = _ConvBlock(512, 128, 1, 1, 0, 1, True)

    def forward(self, pictures: Tensor) -> Tensor:
        """The vectors; pixels enter as (0..255 - 127.5) / 128."""
        maps = self.dw_conv1(self.conv1((pictures * 255 - 127.5) / 128))
        vectors: Tensor = self.linear1(self.linear7(self.conv2(self.blocks(maps)))).flatten(1)
        return vectors
