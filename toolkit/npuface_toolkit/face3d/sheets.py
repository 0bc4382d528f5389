"""Pictures that show a person what the model does: heads by yaw, and a turntable."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_toolkit.face3d.generator import Generator
from npuface_toolkit.face3d.pose import Pose, camera_to_world
from npuface_toolkit.face3d.rays import ray_inputs

YAWS = (-45, -30, -15, 0, 15, 30, 45)
Picture = NDArray[np.uint8]


@torch.no_grad()
def render_poses(generator: Generator, zs: Tensor, za: Tensor, poses: Sequence[Pose]) -> list[Picture]:
    """RGB uint8 [n, n, 3] of one head, codes [1, Z, 1, 1], at each pose; by the plain torch renderer."""
    made = []
    for pose in poses:
        rgb = generator(*ray_inputs(camera_to_world([pose]), generator.config.rays), zs, za)
        made.append(as_picture(rgb[0]))
    return made


def as_picture(rgb: Tensor) -> Picture:
    """RGB in 0..1 [3, n, n] -> uint8 [n, n, 3]."""
    return np.asarray((rgb.clamp(0, 1) * 255).round().byte().permute(1, 2, 0).cpu().numpy(), np.uint8)


def as_tensors(rgb: NDArray[np.uint8]) -> Tensor:
    """RGB uint8 [B, n, n, 3] -> 0..1 [B, 3, n, n], channels last in memory as they came."""
    return torch.from_numpy(np.ascontiguousarray(rgb)).permute(0, 3, 1, 2).float() / 255


def yaw_sheet(
    generator: Generator, codes: Sequence[tuple[Tensor, Tensor]], beside: Sequence[Picture] = (), side: int = 128
) -> Picture:
    """One row for each pair of codes, one column for each yaw.

    Args:
        generator: in evaluation mode.
        codes: Zs and Za of each row, [1, Z, 1, 1].
        beside: a picture for the first column of each row, such as the photograph; empty for none.
        side: of each cell in pixels.
    """
    rows = []
    for number, (zs, za) in enumerate(codes):
        row = render_poses(generator, zs, za, [Pose(yaw) for yaw in YAWS])
        row = [beside[number], *row] if len(beside) else row
        rows.append(np.hstack([cv2.resize(cell, (side, side), interpolation=cv2.INTER_CUBIC) for cell in row]))
    return np.asarray(np.vstack(rows), np.uint8)
