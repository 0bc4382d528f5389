"""The student: a MobileNetV2 hourglass with the landmark head (patent, paragraphs 17 and 18)."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from torch import Tensor, nn

from npuface_toolkit.blocks import InvertedResidual, MobileHourglass, conv_bn
from npuface_toolkit.head import HeadOutput, LandmarkHead
from npuface_toolkit.high_resolution import STAGES, HighResolution

STRIDE = 4
MOBILE_HOURGLASS, HIGH_RESOLUTION = "mobile-hourglass", "high-resolution"
_HRNET_WIDTH = 18
_WIDTHS = (64, 96, 128, 128, 128)


@dataclass(frozen=True)
class StudentConfig:
    """The student's shape.

    Attributes:
        input_size: side of the square RGB input in pixels, divisible by 4 * 2 ** depth.
        points: landmarks K.
        boundaries: boundary heatmaps B.
        width: factor on every channel count of the backbone.
        depth: how often the hourglass halves the resolution, 1 to 5; the other backbone does so three times.
        stem: channels that enter the hourglass (24 as published).
        features: channels that leave it (152 as published).
        compensation: channels of the head's branch c (64 as published).
        backbone: "mobile-hourglass", the student's own, or "high-resolution", an HRNet of width 18 x `width`.
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

    def __post_init__(self) -> None:
        if self.backbone not in (MOBILE_HOURGLASS, HIGH_RESOLUTION):
            raise ValueError(f"backbone {self.backbone!r} is neither {MOBILE_HOURGLASS} nor {HIGH_RESOLUTION}")
        if not 1 <= self.depth <= len(_WIDTHS):
            raise ValueError(f"depth {self.depth} is not in 1..{len(_WIDTHS)}")
        coarsest = STRIDE << (self.depth if self.backbone == MOBILE_HOURGLASS else STAGES - 1)
        if self.input_size <= 0 or self.input_size % coarsest:
            raise ValueError(f"input size {self.input_size} is not a multiple of {coarsest}")
        if min(self.points, self.boundaries, self.stem, self.features, self.compensation) < 1 or self.width <= 0:
            raise ValueError("every channel count and the width must be positive")

    @property
    def heatmap_size(self) -> int:
        """Cells along a side of a heatmap."""
        return self.input_size // STRIDE

    def as_dict(self) -> dict[str, float | str]:
        """The fields, as a checkpoint stores them."""
        return asdict(self)


def _even(channels: float) -> int:
    return max(2, round(channels / 2) * 2)


def _scaled(channels: int, width: float) -> int:
    """Channels times width, a multiple of 8 as NPUs like them."""
    return max(8, round(channels * width / 8) * 8)


class Student(nn.Module):
    """The network that is trained: backbone and head."""

    def __init__(self, config: StudentConfig) -> None:
        super().__init__()
        self.config = config
        stem, features = _scaled(config.stem, config.width), _scaled(config.features, config.width)
        self.stem: nn.Module
        self.hourglass: nn.Module  # the backbone: checkpoints know it by this name
        if config.backbone == MOBILE_HOURGLASS:
            widths = (stem, *(_scaled(w, config.width) for w in _WIDTHS[: config.depth]))
            self.stem = nn.Sequential(
                conv_bn(3, stem, 3, stride=2), InvertedResidual(stem, stem, stride=2), InvertedResidual(stem, stem)
            )
            self.hourglass = MobileHourglass(widths, features)
        else:
            self.stem = nn.Sequential(conv_bn(3, stem, 3, stride=2), conv_bn(stem, stem, 3, stride=2))
            self.hourglass = HighResolution(stem, _even(_HRNET_WIDTH * config.width), features)
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
