"""Light CNN with 9 layers ("A Light CNN for Deep Face Representation with Noisy Labels", Wu et al., 2018), in the
layout of the authors' PyTorch weights: grey 128 x 128 -> 256 numbers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

SIZE = (128, 128)
_GREY = (0.299, 0.587, 0.114)


class _MaxFeatureMap(nn.Module):
    """A layer with twice the channels, of which the larger of each pair is kept."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.filter = layer

    def forward(self, maps: Tensor) -> Tensor:
        one, other = self.filter(maps).chunk(2, 1)
        return torch.maximum(one, other)


def _conv(inner: int, outer: int, kernel: int) -> _MaxFeatureMap:
    return _MaxFeatureMap(nn.Conv2d(inner, 2 * outer, kernel, 1, kernel // 2))


class _Group(nn.Module):
    def __init__(self, inner: int, outer: int) -> None:
        super().__init__()
        self.conv_a = _conv(inner, inner, 1)
        self.conv = _conv(inner, outer, 3)

    def forward(self, maps: Tensor) -> Tensor:
        made: Tensor = self.conv(self.conv_a(maps))
        return made


class LightCnn(nn.Module):
    """RGB in 0..1 [B, 3, 128, 128] -> [B, 256]. The layer of classes (fc2) of the published file is left out."""

    def __init__(self) -> None:
        super().__init__()
        pool = nn.MaxPool2d(2, 2, ceil_mode=True)
        shrink = [_conv(1, 48, 5), pool, _Group(48, 96), pool, _Group(96, 192), pool]
        self.features = nn.Sequential(*shrink, _Group(192, 128), _Group(128, 128), pool)
        self.fc1 = _MaxFeatureMap(nn.Linear(8 * 8 * 128, 2 * 256))

    def forward(self, pictures: Tensor) -> Tensor:
        """The vectors."""
        red, green, blue = pictures.split(1, 1)
        grey = _GREY[0] * red + _GREY[1] * green + _GREY[2] * blue
        vectors: Tensor = self.fc1(self.features(grey).flatten(1))
        return vectors
