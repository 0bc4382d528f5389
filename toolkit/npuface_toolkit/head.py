"""The landmark head that teacher and student share (patent, paragraph 18, equations 2 and 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from npuface_toolkit.blocks import conv_bn


@dataclass(frozen=True)
class HeadOutput:
    """What a landmark network computes in training.

    Attributes:
        edges: boundary heatmaps [N, B, H, W].
        heatmaps: landmark heatmaps [N, K, H, W].
        earlier: what the stacks before the last one computed, where a network has several.
    """

    edges: Tensor
    heatmaps: Tensor
    earlier: tuple[HeadOutput, ...] = ()

    def as_float(self) -> HeadOutput:
        """The same in float32."""
        return HeadOutput(self.edges.float(), self.heatmaps.float(), tuple(out.as_float() for out in self.earlier))


class LandmarkHead(nn.Module):
    """Features [N, F, H, W] -> boundary and landmark heatmaps.

    Branch a draws the boundaries and widens them to K channels, branch b makes the landmark features,
    branch c the compensation; a and b stacked, compensated by c, give the K heatmaps.
    """

    def __init__(self, features: int, points: int, boundaries: int, compensation: int = 64) -> None:
        super().__init__()
        self.fuse = nn.Sequential(
            conv_bn(features, features, 3, groups=features, relu=False), conv_bn(features, features, 1)
        )
        self.edges = nn.Conv2d(features, boundaries, 1)
        self.widen = conv_bn(boundaries, points, 1)
        self.landmarks = conv_bn(features, points, 1)
        self.compensate = conv_bn(features, compensation, 1)
        self.heatmaps = nn.Conv2d(2 * points + compensation, points, 1)

    def forward(self, features: Tensor) -> HeadOutput:
        """[N, features, H, W] -> boundary heatmaps [N, B, H, W] and landmark heatmaps [N, K, H, W]."""
        fused = self.fuse(features)
        edges = self.edges(fused)
        stacked = torch.cat([self.widen(edges), self.landmarks(fused), self.compensate(fused)], dim=1)
        return HeadOutput(edges, self.heatmaps(stacked))
