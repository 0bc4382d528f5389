"""The generator as it is exported: one tensor in, which the host half of the runtime makes of a pose (ray_encoding)."""

from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_runtime.ray_encoding import CODE_RANGE, RendererRecord
from npuface_toolkit.face3d.block_compositing import BlockCompositing
from npuface_toolkit.face3d.block_renderer import BlockRenderer
from npuface_toolkit.face3d.generator import Generator
from npuface_toolkit.face3d.rays import encoded_plate

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
    """Generator with its inputs taken out of one tensor, and codes that are constants or enter too.

    The plate behind the head sees no pose: it is a constant where the codes are one.

    Args:
        generator: in evaluation mode.
        codes: Zs and Za [1, Z, 1, 1], which become constants (a baked identity); None lets them enter.
        channel_block: see npuface_export.target.Target. Above 1 layers read the blocks of the input that are theirs.
            At 1 they read all channels, those of others with zero weights: on an NPU that costs less than taking a
            tensor apart (Ethos-U85-256: 1.1 against 1.7 ms by Vela).
    """

    plate: Tensor

    def __init__(self, generator: Generator, codes: tuple[Tensor, Tensor] | None, channel_block: int = 1) -> None:
        super().__init__()
        self.generator = deepcopy(generator)
        self.takes_codes, self.blocks = codes is None, channel_block > 1
        field = self.generator.field
        record = field_record(generator, self.takes_codes)
        entering, self.first_of_view = record.input_shape[1], record.first_of_view
        self.register_buffer("plate", encoded_plate(generator.config.rays), persistent=False)
        if codes:
            field.bake(*codes, self.plate)
        readers = {field.point: 0, field.point_again: 0, field.view: self.first_of_view}
        if self.blocks:
            self.generator.compositing = BlockCompositing(generator.config.rays.samples)
            for layer in readers:
                _widen(layer, 0, -layer.in_channels % channel_block)
        else:
            for layer, first in readers.items():
                _widen(layer, first, entering - first - layer.in_channels)
        self.generator.renderer = BlockRenderer(generator.renderer)

    def forward(self, entered: Tensor) -> Tensor:
        """As RendererRecord.input_shape says -> RGB in 0..1 as output_shape says."""
        config, rays, field = self.generator.config, self.generator.config.rays, self.generator.field
        samples, view = rays.samples, self.first_of_view
        rows, zs, za = entered, None, None
        if self.takes_codes:
            rows, codes = entered[:, :, :samples], entered[:, :, samples:] * CODE_RANGE
            zs, za = codes[:, : config.shape_codes, :, :1], codes[:, : config.appearance_codes, :, 1:2]
        mask = rows[:, rays.channels : rays.channels + 1]
        if self.blocks:
            pe_x, pe_d = rows[:, : field.point.in_channels], rows[:, view : view + field.view.in_channels]
        else:  # the view is the same in every row: its convolution runs once a ray, and a sum spreads it
            pe_x, pe_d = rows, rows[:, :, :1]
        picture: Tensor = self.generator(pe_x, pe_d, self.plate, mask, zs, za)
        return picture


@torch.no_grad()
def _widen(layer: nn.Conv2d, before: int, behind: int) -> None:
    """Let a convolution take so many more channels around its own, with zero weights."""
    layer.weight = nn.Parameter(functional.pad(layer.weight, (0, 0, 0, 0, before, behind)))
    layer.in_channels += before + behind
