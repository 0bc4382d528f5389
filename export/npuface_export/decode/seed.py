"""seed: the published form. Scale, reshape, softmax, reshape, two fixed convolutions.

Equations (7) to (12) of the patent NPUFace implements: h' = beta h, softmax over the H W cells of each
map, then x = sum(p i) and y = sum(p j) as depthwise convolutions with untrained H x W kernels. It is
the reference, and the worst form in INT8: an 8-bit softmax rounds every p < 1/512 to zero.
Float32 loses something too: in one long sum, background cells that come after the peak are each below half a
unit in the last place of the sum and vanish. Measured on the shipped student: 1e-3 cells.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.needs import depthwise, softmax_needs


class Seed(nn.Module):
    """Heatmaps [N, K, H, W] -> coordinates [N, 2K, 1, 1] in heatmap cells, all x before all y."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        k, h, w = spec.points, spec.height, spec.width
        self.shape = (k, h, w)
        self.beta = spec.beta
        self.x = nn.Conv2d(k, k, (h, w), groups=k, bias=False)
        self.y = nn.Conv2d(k, k, (h, w), groups=k, bias=False)
        across = torch.arange(w, dtype=torch.float32).expand(k, 1, h, w)
        down = torch.arange(h, dtype=torch.float32).reshape(h, 1).expand(k, 1, h, w)
        self.x.weight = nn.Parameter(across.clone(), requires_grad=False)
        self.y.weight = nn.Parameter(down.clone(), requires_grad=False)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, 2K, 1, 1]."""
        k, h, w = self.shape
        flat = (heatmaps * self.beta).reshape(-1, k, h * w)
        probabilities = torch.softmax(flat, dim=-1).reshape(-1, k, h, w)
        return torch.cat([self.x(probabilities), self.y(probabilities)], dim=1)


def softargmax_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells: the mean cell under softmax(beta h)."""
    return expected_cell(torch.softmax((heatmaps * spec.beta).flatten(2), dim=-1).reshape(heatmaps.shape))


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    conv = depthwise(spec, (spec.height, spec.width))
    return (*softmax_needs(spec), conv, conv, Need("Concat", work=2 * spec.points))


FORM = DecodeForm(
    name="seed",
    summary="published form: scale, reshape, softmax, reshape, two fixed convs",
    needs=_needs,
    points=softargmax_points,
    build=Seed,
    finish="coordinates",
)
