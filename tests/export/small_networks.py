"""Networks that are quick to export."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.network import Network

POINTS, SIZE, STRIDE = 5, 64, 4


class BrightSpots(nn.Module):
    """Pictures [1, 3, S, S] -> heatmaps [1, K, S/4, S/4]: smooth peaks where the picture is bright, by colour mix."""

    def __init__(self, points: int = POINTS) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.mix = nn.Conv2d(3, points, STRIDE, STRIDE)
        self.blur = nn.Conv2d(points, points, 5, padding=2, groups=points)
        ramp = torch.exp(-(torch.arange(-2.0, 3.0) ** 2) / 3)
        with torch.no_grad():
            colours = torch.rand(points, 3, 1, 1, generator=generator)
            self.mix.weight.copy_(colours.expand_as(self.mix.weight) / STRIDE**2)
            nn.init.constant_(self.mix.bias, 0.2)
            nn.init.constant_(self.blur.bias, 0.01)
            self.blur.weight.copy_((ramp[:, None] * ramp[None, :] / ramp.sum() ** 2).expand_as(self.blur.weight))

    def forward(self, pictures: Tensor) -> Tensor:
        maps: Tensor = self.blur(torch.relu(self.mix(pictures)))
        return maps


def small_network(module: nn.Module | None = None) -> Network:
    """A network that exports in about a second."""
    return Network(
        name="small",
        module=(module or BrightSpots()).eval(),
        input_shape=(SIZE, SIZE),
        heatmap_shape=(SIZE // STRIDE, SIZE // STRIDE),
        cell_scale=(STRIDE, STRIDE),
        cell_offset=((STRIDE - 1) / 2, (STRIDE - 1) / 2),
        points=POINTS,
        scheme="test-5",
        mean=(127.5, 127.5, 127.5),
        std=(127.5, 127.5, 127.5),
        margin=1.3,
        threshold=0.3,
        beta=20.0,
        sigma=1.5,
    )
