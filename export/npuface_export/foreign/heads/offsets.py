"""Heatmaps with offset maps: how the offsets are coded, and the model's own decode of both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_export.decode import HeatmapSpec
from npuface_export.decode.heatmap_offset_host import highest_cell_points
from npuface_export.foreign.channels import Channels
from npuface_runtime.errors import UserError

_REACH = 0.3
"""Of u, both ways: OpenSeeFace's offsets at the highest cell stay inside. Beyond, where no landmark is, they are any
number, and would take the range of INT8 from those that count."""

CODES = ("cells", "logit", "sigmoid")


@dataclass(frozen=True)
class OffsetCode:
    """How an offset in cells stands in its map.

    Attributes:
        name: "cells": cells = factor v. "logit": v is a probability, cells = factor ln(v / (1 - v)). "sigmoid": the
            same where v is taken before its sigmoid, which the logit undoes: heatmaps still need theirs.
        factor: cells a unit.
    """

    name: str = "cells"
    factor: float = 1.0

    @classmethod
    def parse(cls, text: str) -> OffsetCode:
        """Of `cells:FACTOR` or `logit:FACTOR`. Raises UserError where it is neither."""
        name, _, number = text.partition(":")
        try:
            factor = float(number or 1)
        except ValueError:
            factor = 0.0
        if name not in CODES[:2] or not 0 < factor < float("inf"):
            why = "it is not cells:FACTOR or logit:FACTOR with a positive factor"
            raise UserError(f"cannot read the offset code {text!r}", why, "give cells:1 for offsets in cells")
        return cls(name, factor)


class WithOffsets(nn.Module):
    """What a body ends in -> [1, 3K, H, W]: K heatmaps, K x-offsets, K y-offsets, offsets in cells.

    A logit is taken by its series to the third order, 4 u + 16 u^3 / 3 with u = v - 1/2: multiplications are what every
    NPU has. At an offset of one cell of OpenSeeFace's (u = 0.14) it is 2e-4 cells off. It stops at u = 0.3.
    """

    def __init__(self, parts: Sequence[tuple[int, Channels]], code: OffsetCode) -> None:
        """Parts of heatmaps, x-offsets and y-offsets: the place of the tensor among those that enter, its channels."""
        super().__init__()
        self.parts = [(place, channels.part) for place, channels in parts]
        self.code = code

    def forward(self, *entering: Tensor) -> Tensor:
        """The body's tensors, NCHW -> [1, 3K, H, W]."""
        maps, x, y = (entering[p] if part is None else entering[p][:, slice(*part)] for p, part in self.parts)
        if self.code.name == "sigmoid":
            maps = torch.sigmoid(maps)
        return torch.cat([maps, self._cells(x), self._cells(y)], dim=1)

    def _cells(self, offsets: Tensor) -> Tensor:
        factor = self.code.factor
        if self.code.name == "logit":
            # clamped by a relu6, which quantizers know where they have no minimum
            u = functional.relu6((offsets - (0.5 - _REACH)) * (3 / _REACH)) * (_REACH / 3) - _REACH
            return u * (u * u * (factor * 16 / 3) + factor * 4)
        return offsets if factor == 1 else offsets * factor


def own_offset_decode(points: int, height: int, width: int) -> Callable[[Tensor], Tensor]:
    """The decode that such networks are published with: the highest cell and the offset that stands there."""
    spec = HeatmapSpec(points, height, width, kind="heatmap-offset")
    return lambda maps: highest_cell_points(maps, spec)
