"""The bodies that a landmark network can have, by name: the student's own, and those of teachers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import nn

from npuface_toolkit.blocks import InvertedResidual, MobileHourglass, conv_bn
from npuface_toolkit.high_resolution import STAGES, HighResolution
from npuface_toolkit.residual_hourglass import (
    HierarchicalBlock,
    ResidualHourglass,
    ResidualStem,
    awing_hourglass,
)
from npuface_toolkit.u_net import UNet

MOBILE_HOURGLASS, HIGH_RESOLUTION = "mobile-hourglass", "high-resolution"
RESIDUAL_HOURGLASS, AWING_HOURGLASS, U_NET = "residual-hourglass", "awing-hourglass", "u-net"

MOBILE_WIDTHS = (64, 96, 128, 128, 128)
"""Channels of the student's hourglass at each coarser resolution."""
_HRNET_CHANNELS = 18
_HOURGLASS_CHANNELS = 256
_U_NET_CHANNELS = 64


@dataclass(frozen=True)
class Shape:
    """What a body is built from: channels that enter and that leave it, the factor on its own, and its depth."""

    stem: int
    features: int
    width: float
    depth: int


@dataclass(frozen=True)
class Backbone:
    """A kind of body.

    Attributes:
        stem: makes what turns the picture into features at a quarter of its size.
        body: makes what computes on them.
        features: channels that leave the body.
        halvings: how often it halves the resolution after the stem, of the depth.
        stackable: whether it gives as many channels as it takes, so that several can stand in a row.
    """

    stem: Callable[[Shape], nn.Module]
    body: Callable[[Shape], nn.Module]
    features: Callable[[Shape], int]
    halvings: Callable[[int], int] = lambda depth: depth
    stackable: bool = False


def scaled(channels: int, width: float) -> int:
    """Channels times width, a multiple of 8 as NPUs like them."""
    return max(8, round(channels * width / 8) * 8)


def _mobile_stem(shape: Shape) -> nn.Module:
    stem = shape.stem
    return nn.Sequential(
        conv_bn(3, stem, 3, stride=2), InvertedResidual(stem, stem, stride=2), InvertedResidual(stem, stem)
    )


def _mobile_body(shape: Shape) -> nn.Module:
    widths = (shape.stem, *(scaled(w, shape.width) for w in MOBILE_WIDTHS[: shape.depth]))
    return MobileHourglass(widths, shape.features)


def _plain_stem(shape: Shape) -> nn.Module:
    return nn.Sequential(conv_bn(3, shape.stem, 3, stride=2), conv_bn(shape.stem, shape.stem, 3, stride=2))


def _high_resolution(shape: Shape) -> nn.Module:
    channels = max(2, round(_HRNET_CHANNELS * shape.width / 2) * 2)
    return HighResolution(shape.stem, channels, shape.features)


def _hourglass_channels(shape: Shape) -> int:
    return scaled(_HOURGLASS_CHANNELS, shape.width)


BACKBONES: dict[str, Backbone] = {
    MOBILE_HOURGLASS: Backbone(_mobile_stem, _mobile_body, lambda shape: shape.features),
    HIGH_RESOLUTION: Backbone(
        _plain_stem, _high_resolution, lambda shape: shape.features, halvings=lambda depth: STAGES - 1
    ),
    RESIDUAL_HOURGLASS: Backbone(
        lambda shape: ResidualStem(_hourglass_channels(shape)),
        lambda shape: ResidualHourglass(_hourglass_channels(shape), shape.depth),
        _hourglass_channels,
        stackable=True,
    ),
    AWING_HOURGLASS: Backbone(
        lambda shape: ResidualStem(_hourglass_channels(shape), HierarchicalBlock),
        lambda shape: awing_hourglass(_hourglass_channels(shape), shape.depth),
        _hourglass_channels,
        stackable=True,
    ),
    U_NET: Backbone(
        _plain_stem,
        lambda shape: UNet(shape.stem, scaled(_U_NET_CHANNELS, shape.width), shape.depth, shape.features),
        lambda shape: shape.features,
    ),
}
