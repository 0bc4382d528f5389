"""onebyone: the cells become channels, softmax over them, one 1 x 1 convolution to mass, x and y.

A sum over H W cells is what a 1 x 1 convolution with H W input channels computes, and multiply-add arrays like nothing
better. It costs a transpose of the heatmaps. The 1 x 1 weights are the centred grid, exact in INT8.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need
from npuface_export.decode.needs import elementwise
from npuface_export.decode.seed import softargmax_points
from npuface_export.decode.sums import grid_across, grid_down, grid_params, whole_grid


class _CellSums(nn.Module):
    """Probabilities [N, H W, K, 1] -> [N, 3, 1, K]: mass, first moment of x, first moment of y."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        plane = torch.ones(spec.height, spec.width)
        kernels = torch.stack([plane, plane * grid_across(spec.width), plane * grid_down(spec.height)])
        self.sums = nn.Conv2d(spec.height * spec.width, 3, 1, bias=False)
        self.sums.weight = nn.Parameter(kernels.reshape(3, -1, 1, 1), requires_grad=False)

    def forward(self, probabilities: Tensor) -> Tensor:
        """The order of a map's values stays as it is: channels last, the transpose moves nothing."""
        sums: Tensor = self.sums(probabilities)
        return sums.transpose(2, 3)


class OneByOne(nn.Module):
    """Heatmaps [N, K, H, W] -> [N, 3, 1, K]: mass, first moment of x, first moment of y."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.shape = (spec.points, spec.height * spec.width)
        self.beta = spec.beta
        self.moments = _CellSums(spec)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, 3, 1, K]."""
        cells = (heatmaps * self.beta).reshape(-1, *self.shape, 1).transpose(1, 2)
        sums: Tensor = self.moments(torch.softmax(cells, dim=1))
        return sums


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    cells = spec.points * spec.height * spec.width
    steps = (elementwise(operator, spec) for operator in ("Mul", "Reshape", "Transpose", "Softmax"))
    return (*steps, Need("Conv", (1, 1), (1, 1), 3 * cells))


FORM = DecodeForm(
    name="onebyone",
    summary="cells to channels, softmax, one 1 x 1 conv to mass and centred sums, divided on the host",
    needs=_needs,
    points=softargmax_points,
    build=OneByOne,
    finish="sums",
    finish_params=lambda spec: grid_params(spec.height, spec.width),
    grid=whole_grid,
)
