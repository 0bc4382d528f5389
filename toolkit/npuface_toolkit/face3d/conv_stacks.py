"""Convolution stacks that shrink a map to a vector: VGG-16 (Simonyan and Zisserman, 2015), a ResNet (He et al., 2016).

Discriminator and encoder 1 are built of them (claims 7 and 8), without batch normalisation: the R1 penalty needs the
slope of each picture by itself.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.initial import keep_variance

_VGG16 = ((1, 2), (2, 2), (4, 3), (8, 3), (8, 3))
"""Of VGG-16: multiples of its width, and convolutions, block by block."""
_SLOPE = 0.2
_LEAST = 4
"""Side at which maps are not shrunk any more."""


class ResidualBlock(nn.Module):
    """Two convolutions beside a direct way, then half the side by averaging."""

    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(inner, outer, 3, padding=1)
        self.second = nn.Conv2d(outer, outer, 3, padding=1)
        self.direct = nn.Conv2d(inner, outer, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        """[B, inner, n, n] -> [B, outer, n / 2, n / 2]."""
        hidden = self.first(functional.leaky_relu(maps, _SLOPE))
        hidden = self.second(functional.leaky_relu(hidden, _SLOPE))
        return functional.avg_pool2d((hidden + self.direct(maps)) / math.sqrt(2), 2)


def _vgg16(channels: int, side: int, width: int) -> tuple[nn.Sequential, int, int]:
    layers: list[nn.Module] = []
    for multiple, count in _VGG16:
        for _ in range(count):
            layers += [nn.Conv2d(channels, multiple * width, 3, padding=1), nn.LeakyReLU(_SLOPE)]
            channels = multiple * width
        if side > _LEAST:
            layers.append(nn.AvgPool2d(2))
            side //= 2
    return nn.Sequential(*layers), channels, side


def _resnet(channels: int, side: int, width: int) -> tuple[nn.Sequential, int, int]:
    layers: list[nn.Module] = [nn.Conv2d(channels, width, 3, padding=1)]
    channels = width
    while side > _LEAST:
        outer = min(2 * channels, 8 * width)
        layers.append(ResidualBlock(channels, outer))
        channels, side = outer, side // 2
    return nn.Sequential(*layers, nn.LeakyReLU(_SLOPE)), channels, side


_KINDS: dict[str, Callable[[int, int, int], tuple[nn.Sequential, int, int]]] = {"vgg16": _vgg16, "resnet": _resnet}


class ConvStack(nn.Module):
    """[B, channels, side, side] -> [B, length].

    Args:
        kind: "vgg16" or "resnet".
        channels, side: of the maps; the side is a multiple of 4.
        length: of the vector.
        width: channels of the first layer.

    Raises:
        UserError: there is no such kind, or the side does not fit.
    """

    def __init__(self, kind: str, channels: int, side: int, length: int, width: int) -> None:
        super().__init__()
        if kind not in _KINDS:
            why = f"it is none of {', '.join(_KINDS)}"
            raise UserError(f"unknown kind of network {kind!r}", why, "name one of these in the configuration")
        if side < _LEAST or side % _LEAST or (side // _LEAST) & (side // _LEAST - 1):
            why = f"it is not {_LEAST} times a power of two"
            raise UserError(f"cannot judge maps of side {side}", why, "change the grid of rays")
        self.layers, inner, small = _KINDS[kind](channels, side, width)
        self.layers.apply(keep_variance)  # PyTorch's own start leaves next to nothing after 13 layers
        self.last = nn.Linear(inner * small * small, length)

    def forward(self, maps: Tensor) -> Tensor:
        """The vector of each map."""
        vector: Tensor = self.last(self.layers(maps).flatten(1))
        return vector
