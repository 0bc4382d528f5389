"""The detector's network: one grid of cells that each say whether a face is centred there, and how its box lies.

Centres as peaks of a map are "Objects as Points" (Zhou, Wang and Kraehenbuehl, arXiv 1904.07850); one grid for faces of
every size, fed by coarser ones from above, is "Feature Pyramid Networks" (Lin et al., CVPR 2017). Every operator is one
that small NPUs have: convolution, ReLU6, addition, nearest upsampling by two.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor, nn

from npuface_toolkit.blocks import conv_bn

STRIDE = 8
"""Pixels of the input per cell."""
SIZE = 32.0
"""Side in pixels of the box that a cell's zeros mean."""
GAIN = 4.0
"""What stands in the box channels is this many times larger, so that they share the scores' INT8 scale without loss."""
COARSEST = 64
"""The input's height and width are multiples of it."""
CHANNELS = 5
"""Of the output: the score's logit; x and y of the centre from the cell's, in cells; the logarithms of width and height
over SIZE. The last four times GAIN."""
_RARE = -4.0
"""Logit that every cell starts from: faces are rare."""


@dataclass(frozen=True)
class DetectorConfig:
    """The network's shape: its input in pixels, multiples of 64, and its channels over the published ones."""

    height: int = 256
    width: int = 320
    channels: float = 1.0

    def __post_init__(self) -> None:
        if self.height % COARSEST or self.width % COARSEST or min(self.height, self.width) < COARSEST:
            raise ValueError(f"an input of {self.height} x {self.width} is no multiple of {COARSEST} pixels")
        if not 0.1 <= self.channels <= 8:
            raise ValueError(f"channels are {self.channels}, not from 0.1 to 8")

    @property
    def cells(self) -> tuple[int, int]:
        """Height and width of the grid."""
        return self.height // STRIDE, self.width // STRIDE

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        return asdict(self)


def separable(inputs: int, outputs: int, stride: int = 1) -> nn.Sequential:
    """A depthwise 3x3 and a 1x1 convolution ("MobileNets", Howard et al., arXiv 1704.04861)."""
    return nn.Sequential(conv_bn(inputs, inputs, 3, stride, groups=inputs), conv_bn(inputs, outputs, 1))


class FaceDetector(nn.Module):
    """RGB [N, 3, H, W], (rgb - 127.5) / 127.5 -> [N, 5, H / 8, W / 8]; see CHANNELS."""

    def __init__(self, config: DetectorConfig) -> None:
        super().__init__()
        self.config = config
        c16, c32, c64, c96, c128 = (max(8, round(n * config.channels / 8) * 8) for n in (16, 32, 64, 96, 128))
        self.stem = nn.Sequential(conv_bn(3, c16, 3, 2), separable(c16, c32, 2))
        self.down = nn.ModuleList(
            [
                nn.Sequential(separable(c32, c64, 2), separable(c64, c64)),
                nn.Sequential(separable(c64, c96, 2), separable(c96, c96)),
                nn.Sequential(separable(c96, c128, 2), separable(c128, c128)),
                nn.Sequential(separable(c128, c128, 2), separable(c128, c128)),
            ]
        )
        self.lateral = nn.ModuleList([conv_bn(c, c64, 1, relu=False) for c in (c64, c96, c128, c128)])
        self.merge = nn.ModuleList([separable(c64, c64) for _ in range(3)])
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")
        last = nn.Conv2d(c64, CHANNELS, 1)
        self.head = nn.Sequential(separable(c64, c64), separable(c64, c64), last)
        nn.init.normal_(last.weight, std=0.01)
        with torch.no_grad():
            last.bias.copy_(torch.tensor([_RARE, 0.0, 0.0, 0.0, 0.0]))  # type: ignore[union-attr]  # it has a bias

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        x, levels = self.stem(pictures), []
        for down, lateral in zip(self.down, self.lateral, strict=True):
            x = down(x)
            levels.append(lateral(x))
        merged = levels.pop()
        for merge, level in zip(self.merge, reversed(levels), strict=True):
            merged = merge(level + self.grow(merged))
        maps: Tensor = self.head(merged)
        return maps


def boxes_of(maps: Tensor) -> Tensor:
    """The box of every cell, [N, 5, h, w] -> [N, h, w, 4]: edges in input pixels, pixel centres at integers."""
    height, width = maps.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    values = maps[:, 1:].float() / GAIN
    x = (columns.to(maps.device) + 0.5 + values[:, 0]) * STRIDE - 0.5
    y = (rows.to(maps.device) + 0.5 + values[:, 1]) * STRIDE - 0.5
    half = SIZE / 2 * torch.exp(values[:, 2:].clamp(-4, 4))
    return torch.stack([x - half[:, 0], y - half[:, 1], x + half[:, 0], y + half[:, 1]], dim=-1)
