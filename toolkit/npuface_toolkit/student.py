"""The student: a MobileNetV2 hourglass with the landmark head (patent, paragraphs 17 and 18)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor, nn

from npuface_toolkit.blocks import InvertedResidual, MobileHourglass, conv_bn
from npuface_toolkit.head import HeadOutput, LandmarkHead

STRIDE = 4
_WIDTHS = (64, 96, 128, 128, 128)


@dataclass(frozen=True)
class StudentConfig:
    """The student's shape.

    Attributes:
        input_size: side of the square RGB input in pixels, divisible by 4 * 2 ** depth.
        points: landmarks K.
        boundaries: boundary heatmaps B.
        width: factor on every channel count of the backbone.
        depth: how often the hourglass halves the resolution, 1 to 5.
        stem: channels that enter the hourglass (24 as published).
        features: channels that leave it (152 as published).
        compensation: channels of the head's branch c (64 as published).
    """

    input_size: int = 256
    points: int = 68
    boundaries: int = 13
    width: float = 1.0
    depth: int = 4
    stem: int = 24
    features: int = 152
    compensation: int = 64

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= len(_WIDTHS):
            raise ValueError(f"depth {self.depth} is not in 1..{len(_WIDTHS)}")
        if self.input_size <= 0 or self.input_size % (STRIDE << self.depth):
            raise ValueError(f"input size {self.input_size} is not a multiple of {STRIDE << self.depth}")
        if min(self.points, self.boundaries, self.stem, self.features, self.compensation) < 1 or self.width <= 0:
            raise ValueError("every channel count and the width must be positive")

    @property
    def heatmap_size(self) -> int:
        """Cells along a side of a heatmap."""
        return self.input_size // STRIDE

    def as_dict(self) -> dict[str, float]:
        """The fields, as a checkpoint stores them."""
        return asdict(self)


def _scaled(channels: int, width: float) -> int:
    """Channels times width, a multiple of 8 as NPUs like them."""
    return max(8, round(channels * width / 8) * 8)


class Student(nn.Module):
    """The network that is trained: backbone and head."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        stem, features = _scaled(config.stem, config.width), _scaled(config.features, config.width)
        widths = (stem, *(_scaled(w, config.width) for w in _WIDTHS[: config.depth]))
        self.stem = nn.Sequential(
            conv_bn(3, stem, 3, stride=2), InvertedResidual(stem, stem, stride=2), InvertedResidual(stem, stem)
        )
        self.hourglass = MobileHourglass(widths, features)
        self.head = LandmarkHead(features, config.points, config.boundaries, config.compensation)

    def forward(self, pictures: Tensor) -> HeadOutput:
        """RGB [N, 3, S, S], normalised to [-1, 1] -> boundary and landmark heatmaps at S / 4."""
        out: HeadOutput = self.head(self.hourglass(self.stem(pictures)))
        return out


class HeatmapNetwork(nn.Module):
    """The part of a landmark network that ships: without the boundary output."""

    def __init__(self, network: Student) -> None:
        super().__init__()
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """RGB [N, 3, S, S], normalised to [-1, 1] -> landmark heatmaps [N, K, S / 4, S / 4]."""
        out: HeadOutput = self.network(pictures)
        return out.heatmaps
