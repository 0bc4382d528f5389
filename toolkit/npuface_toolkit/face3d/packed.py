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


def field_record(generator: Generator, takes_codes: bool, channel_block: int = 1) -> RendererRecord:
    """What the manifest says of an exported generator; see PackedRenderer."""
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
        view_in_rows=channel_block > 1,
    )


class PackedRenderer(nn.Module):
    """Generator with its inputs taken out of one tensor, and codes that are constants or enter too.

    The plate behind the head sees no pose: it is a constant where the codes are one.

    Args:
        generator: in evaluation mode.
        codes: Zs and Za [1, Z, 1, 1], which become constants (a baked identity); None lets them enter.
        channel_block: see npuface_export.target.Target. Above 1 the view lies along the rows, so that samples and view
            together fill few blocks of channels, and compositing stays in blocks too. At 1 layers read all channels,
            those of others with zero weights: on an NPU that costs less than taking a tensor apart, or than a kernel
            along the rows (Ethos-U85-256: 1.1 against 1.7 and 2.0 ms by Vela).
    """

    plate: Tensor

    def __init__(self, generator: Generator, codes: tuple[Tensor, Tensor] | None, channel_block: int = 1) -> None:
        super().__init__()
        self.generator = deepcopy(generator)
        field = self.generator.field
        self.record = record = field_record(generator, codes is None, channel_block)
        first, self.reads = record.first_of_view, record.input_shape[1]
        self.register_buffer("plate", encoded_plate(generator.config.rays), persistent=False)
        if codes:
            field.bake(*codes, self.plate)
        if record.view_in_rows:
            self.reads = -(-(first + record.view_channels) // channel_block) * channel_block
            self.generator.compositing = BlockCompositing(record.samples, generator.config.width)
            # a sum of tensors of one shape is a part of the convolution before it there
            field.view = nn.Sequential(_along_rows(field.view, record), nn.Upsample(scale_factor=(record.samples, 1)))
        else:
            _widen(field.view, first, self.reads)
        for layer in (field.point, field.point_again):
            _widen(layer, 0, self.reads)
        self.generator.renderer = BlockRenderer(generator.renderer)

    def forward(self, entered: Tensor) -> Tensor:
        """As RendererRecord.input_shape says -> RGB in 0..1 as output_shape says."""
        record, rows, zs, za = self.record, entered, None, None
        if record.takes_codes:
            rows, codes = entered[:, :, : record.samples], entered[:, :, record.samples :] * CODE_RANGE
            zs, za = codes[:, : record.shape_codes, :, :1], codes[:, : record.appearance_codes, :, 1:2]
        after = self.generator.config.rays.channels
        mask, pe_x, pe_d = rows[:, after : after + 1], rows, rows[:, :, :1]
        if record.view_in_rows:
            pe_d = rows[:, record.first_of_view : record.first_of_view + record.view_channels]
            pe_x = rows[:, : self.reads] if self.reads < rows.shape[1] else rows
        picture: Tensor = self.generator(pe_x, pe_d, self.plate, mask, zs, za)
        return picture


@torch.no_grad()
def _widen(layer: nn.Module, first: int, channels: int) -> None:
    """Let a convolution take so many channels, its own from `first` on, with zero weights for the others."""
    assert isinstance(layer, nn.Conv2d)
    behind = channels - first - layer.in_channels
    layer.weight = nn.Parameter(functional.pad(layer.weight, (0, 0, 0, 0, first, behind)))
    layer.in_channels = channels


@torch.no_grad()
def _along_rows(view: nn.Module, record: RendererRecord) -> nn.Conv2d:
    """The view's 1x1 convolution for numbers that lie along the rows: [B, V, S, R] -> [B, W, 1, R]."""
    assert isinstance(view, nn.Conv2d)
    made = nn.Conv2d(record.view_channels, view.out_channels, (record.samples, 1), bias=False)
    filled = functional.pad(view.weight[:, :, 0, 0], (0, record.view_channels * record.samples - view.in_channels))
    made.weight.copy_(filled.reshape(made.weight.shape))
    return made
