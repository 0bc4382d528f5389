"""The MobileNetV2 pieces that the student is made of (Sandler et al., CVPR 2018)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class StridedDepthwise(nn.Conv2d):
    """A depthwise convolution with a stride, in float32 also where training casts to bfloat16 on a processor.

    There the gradient of this one kind of convolution is a reference kernel of oneDNN: 60 ms instead of 13 for 96
    channels of 64 x 64, 29 instead of 1 for 256 of 16 x 16, and a step of the student takes 1.36 times as long.
    """

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        out: Tensor
        if not torch.is_autocast_enabled("cpu"):
            out = super()._conv_forward(input, weight, bias)
            return out
        with torch.autocast("cpu", enabled=False):
            out = super()._conv_forward(input.float(), weight.float(), bias)
        return out.to(input.dtype)


def conv_bn(
    inputs: int, outputs: int, kernel: int, stride: int = 1, groups: int = 1, relu: bool = True
) -> nn.Sequential:
    """Convolution, batch norm and (optionally) ReLU6; padding keeps the size at stride 1."""
    kind = StridedDepthwise if groups == inputs > 1 and stride > 1 else nn.Conv2d
    layers: list[nn.Module] = [
        kind(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
    ]
    if relu:
        layers.append(nn.ReLU6())
    return nn.Sequential(*layers)


class InvertedResidual(nn.Module):
    """Expand 1x1, depthwise 3x3, project 1x1; a shortcut where the shape allows one."""

    def __init__(self, inputs: int, outputs: int, stride: int = 1, expansion: int = 4) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.body = nn.Sequential(
            conv_bn(inputs, hidden, 1),
            conv_bn(hidden, hidden, 3, stride, groups=hidden),
            conv_bn(hidden, outputs, 1, relu=False),
        )
        self.shortcut = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        """[N, inputs, H, W] -> [N, outputs, H / stride, W / stride]."""
        y: Tensor = self.body(x)
        return x + y if self.shortcut else y


class MobileHourglass(nn.Module):
    """An hourglass (Newell et al., ECCV 2016) of inverted residuals.

    Args:
        widths: channels at each resolution, the full one first; its length - 1 is the depth.
        outputs: channels that leave at the full resolution.
    """

    def __init__(self, widths: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        here, below = widths[0], widths[1]
        self.skip = InvertedResidual(here, outputs)
        self.down = nn.Sequential(InvertedResidual(here, below, stride=2), InvertedResidual(below, below))
        self.inner: nn.Module = (
            MobileHourglass(widths[1:], below) if len(widths) > 2 else InvertedResidual(below, below)
        )
        self.up = InvertedResidual(below, outputs)
        self.grow = nn.Upsample(scale_factor=2, mode="nearest")

    def forward(self, x: Tensor) -> Tensor:
        """[N, widths[0], H, W] -> [N, outputs, H, W]; H and W divisible by 2 ** (len(widths) - 1)."""
        low = self.up(self.inner(self.down(x)))
        out: Tensor = self.skip(x) + self.grow(low)
        return out
