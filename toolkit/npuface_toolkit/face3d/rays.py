"""Ray casting: pose -> samples in the head's box, directions and their encodings (module 602, steps S304, S702-S706).

The maths, for whoever writes it again outside torch. With n x n rays, row by row from the top left corner:

    u = (2 (column + 0.5) / n - 1) tan_half        v = (1 - 2 (row + 0.5) / n) tan_half
    direction = rotation (u, v, -1) / |(u, v, -1)|  origin = rotation (0, 0, distance)
    t_s = distance - 1 + (s + 0.5) delta            delta = 2 / samples
    point = origin + t_s direction                  mask = 1 where max(|point|) <= 1, else 0
    encode(p)[6 k + 0..2] = sin(2^k pi/2 p)         encode(p)[6 k + 3..5] = cos(2^k pi/2 p)

pe_x encodes the points, pe_d the directions, pe_bg the plate (u / tan_half, v / tan_half, 0).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor


@dataclass(frozen=True)
class RayConfig:
    """The camera and how finely its rays are sampled.

    Attributes:
        grid: rays a side; R = grid^2.
        samples: S, points on a ray.
        point_frequencies, direction_frequencies: L and Ld, octaves of the encodings.
        distance: from the camera's centre to the middle of the head, in half sides of the box.
        tan_half: tangent of half the field of view; the focal length is 0.5 / tan_half picture sides.
    """

    grid: int = 16
    samples: int = 16
    point_frequencies: int = 5
    direction_frequencies: int = 2
    distance: float = 4.0
    tan_half: float = 0.27

    @property
    def delta(self) -> float:
        """Length of the stretch of a ray that one sample stands for."""
        return 2.0 / self.samples

    @property
    def channels(self) -> int:
        """Channels of pe_x and pe_bg: 6 L."""
        return 6 * self.point_frequencies

    @property
    def direction_channels(self) -> int:
        """Channels of pe_d: 6 Ld."""
        return 6 * self.direction_frequencies

    def depths(self) -> Tensor:
        """Distance of every sample from the camera along its ray [S]."""
        return self.distance - 1.0 + (torch.arange(self.samples) + 0.5) * self.delta


class RayInputs(NamedTuple):
    """What networks get of a pose: pe_x [B, 6L, S, R], pe_d [B, 6Ld, 1, R], pe_bg [B, 6L, 1, R], mask [B, 1, S, R]."""

    pe_x: Tensor
    pe_d: Tensor
    pe_bg: Tensor
    mask: Tensor


def encode(points: Tensor, frequencies: int) -> Tensor:
    """Positional encoding [B, 3, ...] -> [B, 6 frequencies, ...], coordinates in [-1, 1] (NeRF, equation 4)."""
    octaves = [2.0**k * math.pi / 2 * points for k in range(frequencies)]
    return torch.cat([part for scaled in octaves for part in (scaled.sin(), scaled.cos())], 1)


def plane(grid: int) -> Tensor:
    """The rays' places in the picture, x right and y up in (-1, 1) [2, grid^2]."""
    line = (2 * torch.arange(grid, dtype=torch.float32) + 1) / grid - 1
    return torch.stack([line.repeat(grid), -line.repeat_interleave(grid)])


def directions(rotation: Tensor, grid: int, tan_half: float) -> Tensor:
    """Unit directions of the rays in the world [B, 3, R], from rotations [B, 3, 3]."""
    uv = plane(grid) * tan_half
    rays = torch.cat([uv, -torch.ones(1, uv.shape[1])])
    unit = (rays / rays.norm(dim=0, keepdim=True)).to(rotation.device)
    turned: Tensor = rotation @ unit
    return turned


def cast(rotation: Tensor, config: RayConfig) -> tuple[Tensor, Tensor]:
    """Sample points [B, 3, S, R] and directions [B, 3, R] of the rays of cameras with rotations [B, 3, 3]."""
    rays = directions(rotation, config.grid, config.tan_half)
    origin = rotation[:, :, 2] * config.distance
    depths = config.depths().to(rotation.device)
    return origin[:, :, None, None] + depths[None, None, :, None] * rays[:, :, None], rays


def encoded_plate(config: RayConfig) -> Tensor:
    """pe_bg [1, 6L, 1, R], which no pose changes."""
    uv = plane(config.grid)
    return encode(torch.cat([uv, torch.zeros_like(uv[:1])])[None, :, None], config.point_frequencies)


def ray_inputs(rotation: Tensor, config: RayConfig) -> RayInputs:
    """Everything the networks get of a pose, from rotations [B, 3, 3]; differentiable but for the mask."""
    points, rays = cast(rotation, config)
    return RayInputs(
        encode(points, config.point_frequencies),
        encode(rays[:, :, None], config.direction_frequencies),
        encoded_plate(config).to(rotation.device).expand(len(rotation), -1, -1, -1),
        (points.abs().amax(1, keepdim=True) <= 1).float(),
    )
