"""The frozen network that a student learns from. It looks at the pictures in the size that it was trained at."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.decoding import decoded
from npuface_toolkit.head import HeadOutput
from npuface_toolkit.precision import heads
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.student import STRIDE
from npuface_toolkit.training_config import TrainingConfig

_LEAST_BLUR = 0.5
"""Cells by which maps are blurred at least where they are sampled more coarsely: no cell of theirs is passed over."""


class Teacher:
    """What a checkpoint says of pictures of any size up to its own.

    Args:
        scheme: of the student.
        config: of the student's training; it names the checkpoint, a file or a shipped one.
        autocast: compute it in bfloat16.

    Raises:
        UserError: it cannot be opened, has another landmark scheme, or is for smaller pictures than the student's.
    """

    def __init__(self, scheme: Scheme, config: TrainingConfig, device: torch.device, autocast: bool) -> None:
        checkpoint, largest = config.distillation.teacher, max(stage.input_size for stage in config.stages)
        network, self.info = load_student(checkpoint)
        what = f"cannot learn from {checkpoint}"
        if self.info.scheme != scheme.name:
            why = f"it has {self.info.scheme} landmarks, the data {scheme.name}"
            raise UserError(what, why, "give a teacher of the data's scheme")
        if self.info.config.input_size < largest:
            why = f"it is for {self.info.config.input_size} px, the student for {largest}"
            raise UserError(what, why, "give a teacher of the student's size or a larger one")
        self.sigma, self.autocast = config.sigma, autocast
        self.network: nn.Module = network.requires_grad_(False).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]

    @torch.no_grad()
    def __call__(self, pictures: Tensor) -> tuple[HeadOutput, Tensor]:
        """RGB [N, 3, S, S], normalised -> maps [N, ., S / 4, S / 4] and points [N, K, 2] in their cells, in float32."""
        size, own = pictures.shape[-1], self.info.config.input_size
        if size < own:
            pictures = functional.interpolate(pictures, size=(own, own), mode="bilinear", align_corners=False)
        out = heads(self.network, pictures.contiguous(memory_format=torch.channels_last), self.autocast)
        points = (decoded(self.info, out.heatmaps) + 0.5) * size / own - 0.5
        if size < own:
            edges, heatmaps = (
                coarser(maps, size // STRIDE, self.info.sigma, self.sigma, across)
                for maps, across in ((out.edges, 1), (out.heatmaps, 2))
            )
            out = HeadOutput(edges, heatmaps)
        return out, points


def coarser(maps: Tensor, cells: int, had: float, wanted: float, across: int) -> Tensor:
    """Maps [N, C, H, H] on a coarser grid [N, C, cells, cells] of the same picture.

    A Gaussian with a standard deviation of `had` cells becomes one of `wanted` of the coarser cells, as high as it was:
    blurred by what it lacks, at the coarser cells' centres.

    Args:
        across: axes along which it falls off, for its height: 2 for a peak, 1 for the ridge of a boundary.
    """
    ratio = maps.shape[-1] / cells
    blur = math.sqrt(max((wanted * ratio) ** 2 - had**2, _LEAST_BLUR**2))
    centres = (torch.arange(cells, device=maps.device) + 0.5) * ratio - 0.5
    distance = torch.arange(maps.shape[-1], device=maps.device) - centres[:, None]
    taken = torch.exp(-((distance / blur) ** 2) / 2) / (blur * math.sqrt(2 * math.pi))  # [cells, H]
    height = (1 + (blur / had) ** 2) ** (across / 2)  # what the blur takes from it
    return (taken @ maps @ taken.T).mul(height)
