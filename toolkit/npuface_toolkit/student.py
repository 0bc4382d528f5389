"""Landmark networks: a body and the landmark head.

The student is a MobileNetV2 hourglass (patent, paragraphs 17 and 18). Its teachers have other bodies and the same head.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch
from torch import Tensor, nn

from npuface_toolkit.backbones import (
    BACKBONES,
    MOBILE_HOURGLASS,
    MOBILE_WIDTHS,
    Shape,
    scaled,
)
from npuface_toolkit.head import HeadOutput, LandmarkHead

STRIDE = 4
MIN_CELLS, MAX_CELLS = 2, 255


@dataclass(frozen=True)
class StudentConfig:
    """A landmark network's shape.

    Attributes:
        input_size: side of the square RGB input in pixels, divisible by 4 * 2 ** depth.
        points: landmarks K.
        boundaries: boundary heatmaps B.
        width: factor on every channel count of the body.
        depth: how often the body halves the resolution, 1 to 5; the high-resolution one does so three times.
        stem: channels that enter the body (24 as published); the residual hourglasses have their own.
        features: channels that leave it (152 as published); the residual hourglasses have their own.
        compensation: channels of the head's branch c (64 as published).
        backbone: the body, a name in BACKBONES.
        stacks: hourglasses in a row, each with a head.
    """

    input_size: int = 256
    points: int = 68
    boundaries: int = 13
    width: float = 1.0
    depth: int = 4
    stem: int = 24
    features: int = 152
    compensation: int = 64
    backbone: str = MOBILE_HOURGLASS
    stacks: int = 1

    def __post_init__(self) -> None:
        if self.backbone not in BACKBONES:
            raise ValueError(f"backbone {self.backbone!r} is none of {', '.join(BACKBONES)}")
        if not 1 <= self.depth <= len(MOBILE_WIDTHS):
            raise ValueError(f"depth {self.depth} is not in 1..{len(MOBILE_WIDTHS)}")
        coarsest = STRIDE << BACKBONES[self.backbone].halvings(self.depth)
        if self.input_size <= 0 or self.input_size % coarsest:
            raise ValueError(f"input size {self.input_size} is not a multiple of {coarsest}")
        if not MIN_CELLS <= self.input_size // STRIDE <= MAX_CELLS:  # what the decode forms take
            why = f"its heatmaps would have {self.input_size // STRIDE} cells a side, not {MIN_CELLS} to {MAX_CELLS}"
            raise ValueError(f"input size {self.input_size}: {why}")
        if min(self.points, self.boundaries, self.stem, self.features, self.compensation) < 1 or self.width <= 0:
            raise ValueError("every channel count and the width must be positive")
        if self.stacks != 1 and (self.stacks < 1 or not BACKBONES[self.backbone].stackable):
            stackable = ", ".join(name for name, backbone in BACKBONES.items() if backbone.stackable)
            raise ValueError(f"{self.stacks} stacks of {self.backbone}: only {stackable} can be stacked")

    @property
    def heatmap_size(self) -> int:
        """Cells along a side of a heatmap."""
        return self.input_size // STRIDE

    def as_dict(self) -> dict[str, float | str]:
        """The fields, as a checkpoint stores them."""
        return asdict(self)


class Stack(nn.Module):
    """A body with a head of its own, whose maps go back into the features for the next one.

    After Newell et al. (ECCV 2016), "intermediate supervision".
    """

    def __init__(self, body: nn.Module, features: int, config: StudentConfig) -> None:
        super().__init__()
        self.hourglass = body
        self.head = LandmarkHead(features, config.points, config.boundaries, config.compensation)
        self.back = nn.Conv2d(config.boundaries + config.points, features, 1)

    def forward(self, x: Tensor) -> tuple[HeadOutput, Tensor]:
        """[N, features, H, W] -> what the head says, and the features for the next stack."""
        features = self.hourglass(x)
        out: HeadOutput = self.head(features)
        return out, x + features + self.back(torch.cat([out.edges, out.heatmaps], dim=1))


class Student(nn.Module):
    """The network that is trained: stem, body and head; before them the earlier stacks, where there are some."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        stem, features = scaled(config.stem, config.width), scaled(config.features, config.width)
        backbone, shape = BACKBONES[config.backbone], Shape(stem, features, config.width, config.depth)
        leaving = backbone.features(shape)
        self.stem = backbone.stem(shape)
        self.earlier = nn.ModuleList(Stack(backbone.body(shape), leaving, config) for _ in range(config.stacks - 1))
        self.hourglass = backbone.body(shape)  # the body: checkpoints know it by this name
        self.head = LandmarkHead(leaving, config.points, config.boundaries, config.compensation)

    def forward(self, pictures: Tensor) -> HeadOutput:
        """RGB [N, 3, S, S], normalised to [-1, 1] -> boundary and landmark heatmaps at S / 4."""
        x, earlier = self.stem(pictures), []
        for stack in self.earlier:
            said, x = stack(x)
            earlier.append(said)
        out: HeadOutput = self.head(self.hourglass(x))
        return HeadOutput(out.edges, out.heatmaps, tuple(earlier))


class HeatmapNetwork(nn.Module):
    """The part of a landmark network that ships: without the boundary output."""

    def __init__(self, network: Student) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """RGB [N, 3, S, S], normalised to [-1, 1] -> landmark heatmaps [N, K, S / 4, S / 4]."""
        out: HeadOutput = self.network(pictures)
        return out.heatmaps
