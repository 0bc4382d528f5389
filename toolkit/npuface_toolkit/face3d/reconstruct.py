"""One picture -> codes and pose of a head: the encoder's guess, then a short optimisation (claim 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.face3d.face3d_checkpoint import Face3d
from npuface_toolkit.face3d.identity_crop import identity_of
from npuface_toolkit.face3d.pose import Pose, rotations
from npuface_toolkit.face3d.rays import ray_inputs
from npuface_toolkit.face3d.sheets import Picture, as_picture

STEPS = 100


@dataclass(frozen=True)
class FitConfig:
    """How codes and pose are fitted.

    Attributes:
        steps: of Adam.
        rate, pose_rate: of codes, and of degrees. A free pose drifts, so it stays near that of the landmarks.
        pose_weight: pull to the pose of the landmarks, per squared degree.
        code_weight: pull of the codes to the encoder's, which knows real heads.
        identity_weight: of 1 - cosine of the identity encoder, where there is one.
    """

    steps: int = STEPS
    rate: float = 3e-2
    pose_rate: float = 0.1
    pose_weight: float = 2e-4
    code_weight: float = 2e-3
    identity_weight: float = 0.1


@dataclass(frozen=True)
class Reconstruction:
    """A head that looks like a picture.

    Attributes:
        zs, za: codes [1, Z, 1, 1].
        pose: of the camera.
        rendered: RGB uint8 [n, n, 3] at that pose.
        difference: mean absolute difference to the picture, 0..1, before and after the fit.
    """

    zs: Tensor
    za: Tensor
    pose: Pose
    rendered: Picture
    difference: tuple[float, float] = field(default=(0.0, 0.0))


def fit_head(
    model: Face3d,
    rgb: NDArray[np.uint8],
    pose: Pose,
    config: FitConfig | None = None,
    identity: nn.Module | None = None,
    progress: Callable[[int], None] = lambda step: None,
) -> Reconstruction:
    """Find the codes and the pose that render an aligned picture.

    Args:
        model: a trained one.
        rgb: aligned as align_face does it, [n, n, 3] of the model's size.
        pose: from its landmarks.
        config: of the fit.
        identity: a frozen identity encoder (see identity_encoder).
        progress: called after every step.
    """
    config = config or FitConfig()
    picture = torch.from_numpy(np.ascontiguousarray(rgb.transpose(2, 0, 1)))[None].float() / 255
    rays = model.generator.config.rays
    with torch.no_grad():
        start_s, start_a, _ = model.encoder(picture)
        wanted = identity_of(identity, picture, [pose], rays) if identity else None
    zs, za = start_s.clone().requires_grad_(), start_a.clone().requires_grad_()
    first = torch.tensor([[pose.yaw, pose.pitch, pose.roll]])
    angles = first.clone().requires_grad_()
    optimizer = torch.optim.Adam(
        [{"params": [zs, za], "lr": config.rate}, {"params": [angles], "lr": config.pose_rate}]
    )

    def render() -> Tensor:
        made: Tensor = model.generator(*ray_inputs(rotations(angles), rays), zs, za)
        return made

    difference = []
    for step in range(config.steps + 1):
        made = render()
        away = (made - picture).abs().mean()
        if step in (0, config.steps):
            difference.append(float(away.detach()))
        if step == config.steps:
            break
        loss = away + config.pose_weight * ((angles - first) ** 2).sum()
        loss = loss + config.code_weight * (((zs - start_s) ** 2).mean() + ((za - start_a) ** 2).mean())
        if identity is not None and wanted is not None:
            like = functional.cosine_similarity(identity_of(identity, made, [pose], rays), wanted).mean()
            loss = loss + config.identity_weight * (1 - like)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        progress(step + 1)
    found = Pose(*angles.detach()[0].tolist())
    first_last = (difference[0], difference[-1])
    return Reconstruction(zs.detach(), za.detach(), found, as_picture(made.detach()[0]), first_last)
