"""Networks that take pixels as they are: the normalisation becomes their first layer.

A camera's pipeline, or an NPU's own resizer, then hands over bytes, and nothing is computed for each of them on the
CPU. In INT8 the input's scale is 1: the byte itself enters, or the byte less 128 where the engine has signed integers.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

AnyNetwork = TypeVar("AnyNetwork")


class ByteInput(nn.Module):
    """RGB [N, 3, H, W] in 0..255 -> what `network` makes of (rgb - mean) / std.

    The normalisation is a 1x1 convolution of its own. In the network's first convolution it could not be: where that
    pads with zeros, they mean the mean, and no bias makes black of them.
    """

    def __init__(self, network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.normalise = nn.Conv2d(3, 3, 1, groups=3)
        gain = 1 / torch.tensor(std, dtype=torch.float32)
        self.normalise.weight = nn.Parameter(gain.reshape(3, 1, 1, 1), requires_grad=False)
        self.normalise.bias = nn.Parameter(-torch.tensor(mean, dtype=torch.float32) * gain, requires_grad=False)
        self.network = network

    def forward(self, pictures: Tensor) -> Tensor:
        """See the class."""
        made: Tensor = self.network(self.normalise(pictures))
        return made


def with_byte_input(network: AnyNetwork) -> AnyNetwork:
    """The same network (a Network or a DetectorNetwork) for pictures whose mean and deviation are 0 and 1."""
    given = cast(Any, network)
    module = ByteInput(given.module, given.mean, given.std).eval()
    return cast(AnyNetwork, replace(given, module=module, mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)))


def takes_bytes(mean: Sequence[float], std: Sequence[float]) -> bool:
    """Whether pictures enter as they are."""
    return tuple(mean) == (0.0, 0.0, 0.0) and tuple(std) == (1.0, 1.0, 1.0)


def spanning(pictures: Sequence[NDArray[np.float32]]) -> list[NDArray[np.float32]]:
    """Calibration pictures [1, 3, H, W] in 0..255 of which one has a black and a white corner.

    The input's range is then that of a byte, and its scale 1, whatever the pictures show.
    """
    first = pictures[0].copy()
    first[..., 0, 0], first[..., -1, -1] = 0, 255
    return [first, *pictures[1:]]
