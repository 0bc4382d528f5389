"""Picture -> codes: where the codes come from when training pairs them with a real picture, and where a fit starts."""

from __future__ import annotations

import itertools

from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.face3d.initial import keep_variance


class ImageEncoder(nn.Module):
    """RGB in 0..1 [B, 3, H, W] -> Zs, Za, each [B, Z, 1, 1], and the pose in degrees (yaw, pitch, roll) [B, 3].

    Args:
        shape_codes, appearance_codes: channels of the codes.
        width: channels of the first layer.
    """

    _DEGREES = 45.0

    def __init__(self, shape_codes: int, appearance_codes: int, width: int = 16) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width, 4 * width)
        self.layers = nn.ModuleList(nn.Conv2d(a, b, 3, stride=2, padding=1) for a, b in itertools.pairwise(widths))
        self.hidden = nn.Conv2d(4 * width, 8 * width, 4)
        self.last = nn.Conv2d(8 * width, shape_codes + appearance_codes + 3, 1)
        self.codes = (shape_codes, appearance_codes, 3)

    def initialise(self) -> None:
        """Draw weights that keep the signal's size from layer to layer, so that codes differ from the first step on."""
        for layer in (*self.layers, self.hidden, self.last):
            keep_variance(layer)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Codes and pose. Pictures of another size than 64 x 64 are averaged to it."""
        hidden = functional.adaptive_avg_pool2d(picture, 64) * 2 - 1
        for layer in self.layers:
            hidden = functional.leaky_relu(layer(hidden), 0.2)
        zs, za, pose = self.last(functional.leaky_relu(self.hidden(hidden), 0.2)).split(self.codes, 1)
        return zs, za, self._DEGREES * pose.flatten(1)
