"""The discriminator (module 612, steps S502 and S722-S724): is a picture real, or made by the generator?"""

from __future__ import annotations

from torch import Tensor, nn

from npuface_toolkit.face3d.conv_stacks import ConvStack


class Discriminator(nn.Module):
    """RGB in 0..1 [B, 3, n, n] -> logits [B], positive for real.

    Args:
        kind: "vgg16" or "resnet".
        size: n.
        width: channels of the first layer.

    Raises:
        UserError: there is no such kind, or the size does not fit.
    """

    def __init__(self, kind: str, size: int, width: int = 32) -> None:
        super().__init__()
        self.stack = ConvStack(kind, 3, size, 1, width)

    def forward(self, pictures: Tensor) -> Tensor:
        """The logits."""
        logits: Tensor = self.stack(pictures * 2 - 1)
        return logits[:, 0]
