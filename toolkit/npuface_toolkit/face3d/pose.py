"""Where the camera is: the pose that ray casting starts from (patent step S302).

World: right-handed, the head's box is [-1, 1]^3 around the origin, x to the right of a frontal picture, y up,
z out of the face towards the frontal camera. Camera: x right, y up, it looks along -z.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Pose:
    """Angles of the camera around the head, in degrees; all zero is the frontal view.

    Attributes:
        yaw: positive moves the camera to +x.
        pitch: positive moves the camera up.
        roll: positive turns the camera counter-clockwise about its own axis.
    """

    yaw: float = 0.0
    pitch: float = 0.0
    roll: float = 0.0


def camera_to_world(poses: Sequence[Pose]) -> Tensor:
    """Rotations Ry(yaw) Rx(-pitch) Rz(roll) [B, 3, 3]: columns are the camera's axes in the world.

    The camera's centre is `rotation @ (0, 0, distance)`: it always looks at the origin.
    """
    angles = torch.tensor([[p.yaw, p.pitch, p.roll] for p in poses], dtype=torch.float32)
    return rotations(angles)


def rotations(degrees: Tensor) -> Tensor:
    """As camera_to_world, from yaw, pitch and roll in degrees [B, 3]; differentiable, for fitting a pose."""
    yaw, pitch, roll = torch.deg2rad(degrees).unbind(1)
    zero, one = torch.zeros_like(yaw), torch.ones_like(yaw)

    def matrix(*entries: Tensor) -> Tensor:
        return torch.stack(entries, 1).reshape(-1, 3, 3)

    cos, sin = yaw.cos(), yaw.sin()
    about_y = matrix(cos, zero, sin, zero, one, zero, -sin, zero, cos)
    cos, sin = pitch.cos(), pitch.sin()
    about_x = matrix(one, zero, zero, zero, cos, sin, zero, -sin, cos)
    cos, sin = roll.cos(), roll.sin()
    about_z = matrix(cos, -sin, zero, sin, cos, zero, zero, zero, one)
    return about_y @ about_x @ about_z
