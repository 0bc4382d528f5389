"""hierarchical: exp(beta (h - max h)), summed by 3 x 3 blocks, then over the blocks, division on the host.

No kernel of the map's size and no stride over 3, the largest that Ethos-U55 takes. Inside a block the place counts
from its middle, -1, 0 or 1; over the blocks from the exact INT8 grid. Both are exact, so the sum of both is too:

    cell = 3 * block + 1 - padding + place in the block
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need
from npuface_export.decode.per_map_maximum import (
    ExponentialSquash,
    exponential_confidence,
    exponential_needs,
    exponential_points,
)
from npuface_export.decode.sums import MapSums, fixed_depthwise, grid_params

_BLOCK = 3


def _padding(cells: int) -> int:
    """Cells of padding on either side of an axis, so that whole blocks cover it."""
    return 0 if cells % _BLOCK == 0 else 1


def _blocks(cells: int) -> int:
    return (cells + 2 * _padding(cells)) // _BLOCK


class _OverBlocks(nn.Module):
    """Mass and places by block [N, K, H', W'] each -> [N, 5K or more, 1, 1]: MapSums, then the sums of both places."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        height, width = _blocks(spec.height), _blocks(spec.width)
        self.sums = MapSums(HeatmapSpec(spec.points, height, width))
        self.inside_x = fixed_depthwise(spec.points, torch.ones(height, width))
        self.inside_y = fixed_depthwise(spec.points, torch.ones(height, width))

    def forward(self, mass: Tensor, x: Tensor, y: Tensor, *others: Tensor) -> Tensor:
        sums: Tensor = self.sums(mass, self.inside_x(x), self.inside_y(y), *others)
        return sums


class Hierarchical(nn.Module):
    """Heatmaps [N, K, H, W] -> [N, 6K, 1, 1]: mass, block x, block y, place x, place y, maximum."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.squash = ExponentialSquash(spec)
        padding = (_padding(spec.height), _padding(spec.width))
        place = torch.arange(_BLOCK, dtype=torch.float32) - _BLOCK // 2
        plane = torch.ones(_BLOCK, _BLOCK)
        kernels = (plane, plane * place, plane * place[:, None])
        self.blocks = nn.ModuleList(fixed_depthwise(spec.points, kernel, _BLOCK, padding) for kernel in kernels)
        self.moments = _OverBlocks(spec)

    def forward(self, heatmaps: Tensor) -> Tensor:
        """[N, K, H, W] -> [N, 6K, 1, 1]."""
        weights, peak = self.squash(heatmaps)
        sums: Tensor = self.moments(*(block(weights) for block in self.blocks), peak)
        return sums


def _needs(spec: HeatmapSpec) -> tuple[Need, ...]:
    height, width = _blocks(spec.height), _blocks(spec.width)
    blocks = spec.points * height * width
    step = Need("Conv", (_BLOCK, _BLOCK), (_BLOCK, _BLOCK), blocks * _BLOCK**2)
    over = Need("Conv", (height, width), (1, 1), blocks)
    return (*exponential_needs(spec), *[step] * 3, *[over] * 5, Need("Concat", work=6 * spec.points))


def _params(spec: HeatmapSpec) -> dict[str, float]:
    return {
        **grid_params(_blocks(spec.height), _blocks(spec.width)),
        **exponential_confidence(spec),
        "block_size": _BLOCK,
        "first_centre_x": _BLOCK // 2 - _padding(spec.width),
        "first_centre_y": _BLOCK // 2 - _padding(spec.height),
    }


FORM = DecodeForm(
    name="hierarchical",
    summary="exp(beta (h - max h)), sums of 3 x 3 blocks, then of the blocks, divided on the host",
    needs=_needs,
    points=exponential_points,
    build=Hierarchical,
    finish="blocks",
    finish_params=_params,
    grid=lambda spec: (_blocks(spec.height), _blocks(spec.width)),
)
