"""The generator as it is exported: one tensor in, which the host half of the runtime makes of a pose (ray_encoding)."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_runtime.ray_encoding import CODE_RANGE, RendererRecord
from npuface_toolkit.face3d.block_renderer import BlockRenderer
from npuface_toolkit.face3d.generator import Generator

MAX_YAW, MAX_PITCH, MAX_ROLL = 45.0, 20.0, 30.0
"""Degrees to either side that an exported renderer takes and is compared at. Training sees no roll: rays of a rolled
camera cross the same field, and only the neural renderer sees its features turned."""


def drawn_angles(count: int, random: torch.Generator) -> Tensor:
    """Yaw and pitch drawn evenly within those limits, no roll, degrees [count, 3]."""
    return (2 * torch.rand(count, 3, generator=random) - 1) * torch.tensor([MAX_YAW, MAX_PITCH, 0.0])


def field_record(generator: Generator, takes_codes: bool) -> RendererRecord:
    """What the manifest says of an exported generator."""
    config, rays = generator.config, generator.config.rays
    return RendererRecord(
        kind="field",
        grid=rays.grid,
        samples=rays.samples,
        size=config.size,
        distance=rays.distance,
        tan_half=rays.tan_half,
        point_frequencies=rays.point_frequencies,
        direction_frequencies=rays.direction_frequencies,
        max_yaw=MAX_YAW,
        max_pitch=MAX_PITCH,
        max_roll=MAX_ROLL,
        shape_codes=config.shape_codes if takes_codes else 0,
        appearance_codes=config.appearance_codes if takes_codes else 0,
    )


class PackedRenderer(nn.Module):
    """Generator with its inputs taken out of rows of one tensor, and codes that are constants or enter too.

    Args:
        generator: in evaluation mode.
        codes: Zs and Za [1, Z, 1, 1], which become constants (a baked identity); None lets them enter.
        channel_block: see npuface_export.target.Target.
    """

    def __init__(self, generator: Generator, codes: tuple[Tensor, Tensor] | None, channel_block: int = 1) -> None:
        super().__init__()
        self.generator = deepcopy(generator)
        self.takes_codes = codes is None
        field = self.generator.field
        if codes:
            field.bake(*codes)
        for layer in (field.point, field.point_again, field.plate, field.view):
            _fill_block(layer, channel_block)
        self.generator.renderer = BlockRenderer(generator.renderer)

    def forward(self, entered: Tensor) -> Tensor:
        """As RendererRecord.input_shape says -> RGB in 0..1 as output_shape says."""
        config, rays = self.generator.config, self.generator.config.rays
        samples, channels = rays.samples, rays.channels
        field, mask = self.generator.field, entered[:, channels : channels + 1, :samples]
        pe_x = entered[:, : field.point.in_channels, :samples]
        pe_bg = entered[:, : field.plate.in_channels, samples : samples + 1]
        pe_d = entered[:, : field.view.in_channels, samples + 1 : samples + 2]
        zs = za = None
        if self.takes_codes:
            row = entered[:, :, samples + 2 : samples + 3] * CODE_RANGE
            zs = row[:, : config.shape_codes, :, :1]
            za = row[:, : config.appearance_codes, :, 1:2]
        picture: Tensor = self.generator(pe_x, pe_d, pe_bg, mask, zs, za)
        return picture


@torch.no_grad()
def _fill_block(layer: nn.Conv2d, block: int) -> None:
    """Let a convolution take whole blocks of the channels that enter, those that are not its own with zero weights."""
    missing = -layer.in_channels % block
    layer.weight = nn.Parameter(functional.pad(layer.weight, (0, 0, 0, 0, 0, missing)))
    layer.in_channels += missing
