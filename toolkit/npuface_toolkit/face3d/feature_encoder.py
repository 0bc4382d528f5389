"""Encoder 1 (module 608, steps S504 and S726-S728): the renderer's feature tensor -> a vector like encoder 2's."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.face3d.conv_stacks import ConvStack


class FeatureEncoder(nn.Module):
    """Feature tensors [B, W, n, n] -> vectors of unit length [B, length].

    Args:
        kind: "vgg16" or "resnet".
        channels: W.
        side: n.
        length: of encoder 2's vectors, which have unit length too.
        width: channels of the first layer.

    Raises:
        UserError: there is no such kind, or the side does not fit.
    """

    def __init__(self, kind: str, channels: int, side: int, length: int, width: int = 32) -> None:
        super().__init__()
        self.stack = ConvStack(kind, channels, side, length, width)

    def forward(self, features: Tensor) -> Tensor:
        """The vectors."""
        return functional.normalize(self.stack(features))
