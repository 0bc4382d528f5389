"""One picture -> codes and pose of a head: the encoder's guess, then a short optimisation (claim 12)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.face3d.face3d_checkpoint import Face3d
from npuface_toolkit.face3d.identity_crop import identity_of
from npuface_toolkit.face3d.pose import Pose, rotations
from npuface_toolkit.face3d.rays import ray_inputs
from npuface_toolkit.face3d.sheets import Picture, as_picture, as_tensors

STEPS = 100


@dataclass(frozen=True)
class FitConfig:
    """How codes and pose are fitted.

    Attributes:
        steps: of Adam.
        guess_share: how much of the encoder's guess is in the pose to begin with; the rest is that of the landmarks.
        rate, shape_rate, pose_rate: of Za, of Zs, and of degrees. A free pose drifts, so it stays near the first one.
        pose_weight: pull to the first pose, per squared degree.
        code_weight, shape_weight: pull of Za and Zs to the encoder's, which knows many heads; one picture says
            little of shape.
        identity_weight: of 1 - cosine of the identity encoder, where there is one.
    """

    steps: int = STEPS
    guess_share: float = 0.5
    rate: float = 1e-2
    shape_rate: float = 1e-2
    pose_rate: float = 0.02
    pose_weight: float = 2e-4
    code_weight: float = 2e-2
    shape_weight: float = 0.1
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
    difference: tuple[float, float]


def fit_head(
    model: Face3d,
    rgb: NDArray[np.uint8],
    pose: Pose,
    config: FitConfig | None = None,
    identity: nn.Module | None = None,
    progress: Callable[[int], None] = lambda step: None,
) -> Reconstruction:
    """As `fit_heads`, of one picture [n, n, 3]."""
    return fit_heads(model, rgb[None], [pose], config, identity, progress)[0]


def fit_heads(
    model: Face3d,
    rgb: NDArray[np.uint8],
    poses: Sequence[Pose],
    config: FitConfig | None = None,
    identity: nn.Module | None = None,
    progress: Callable[[int], None] = lambda step: None,
) -> list[Reconstruction]:
    """Find the codes and the pose that render each of some aligned pictures; they do not influence each other.

    Args:
        model: a trained one.
        rgb: aligned as align_face does it, [B, n, n, 3] of the model's size.
        poses: from their landmarks.
        config: of the fit.
        identity: a frozen identity encoder (see identity_encoder).
        progress: called after every step.
    """
    config = config or FitConfig()
    fit = _Fit(model, rgb, poses, config, identity)
    optimizer = torch.optim.Adam(
        [
            {"params": [fit.zs], "lr": config.shape_rate},
            {"params": [fit.za], "lr": config.rate},
            {"params": [fit.angles], "lr": config.pose_rate},
        ]
    )
    before = fit.difference()
    for step in range(config.steps):
        optimizer.zero_grad(set_to_none=True)
        fit.loss().backward()
        optimizer.step()
        progress(step + 1)
    return fit.results(before)


class _Fit:
    """Codes and angles of B pictures, and how well they render them."""

    def __init__(
        self,
        model: Face3d,
        rgb: NDArray[np.uint8],
        poses: Sequence[Pose],
        config: FitConfig,
        identity: nn.Module | None,
    ) -> None:
        self.generator, self.config, self.identity, self.poses = model.generator, config, identity, poses
        self.pictures = as_tensors(rgb)
        self.rays = model.generator.config.rays
        with torch.no_grad():
            self.start_s, self.start_a, guess = model.encoder(self.pictures)
            self.wanted = identity_of(identity, self.pictures, poses, self.rays) if identity else None
        first = torch.tensor([[pose.yaw, pose.pitch, pose.roll] for pose in poses])
        self.first = first + config.guess_share * (guess - first)
        self.zs, self.za, self.angles = (
            part.clone().requires_grad_() for part in (self.start_s, self.start_a, self.first)
        )

    def render(self) -> Tensor:
        made: Tensor = self.generator(*ray_inputs(rotations(self.angles), self.rays), self.zs, self.za)
        return made

    def loss(self) -> Tensor:
        """The sum over the pictures, so that the step of one does not hang on how many there are."""
        config, made = self.config, self.render()
        loss: Tensor = (made - self.pictures).abs().mean((1, 2, 3)).sum()
        loss = loss + config.pose_weight * ((self.angles - self.first) ** 2).sum()
        loss = loss + config.shape_weight * ((self.zs - self.start_s) ** 2).mean((1, 2, 3)).sum()
        loss = loss + config.code_weight * ((self.za - self.start_a) ** 2).mean((1, 2, 3)).sum()
        if self.identity is not None and self.wanted is not None:
            like = functional.cosine_similarity(identity_of(self.identity, made, self.poses, self.rays), self.wanted)
            loss = loss + config.identity_weight * (1 - like).sum()
        return loss

    @torch.no_grad()
    def difference(self) -> list[float]:
        """Mean absolute difference of each render to its picture."""
        found: list[float] = (self.render() - self.pictures).abs().mean((1, 2, 3)).tolist()
        return found

    @torch.no_grad()
    def results(self, before: Sequence[float]) -> list[Reconstruction]:
        """What was found, one for each picture."""
        made, after = self.render(), self.difference()
        return [
            Reconstruction(
                self.zs[i : i + 1].detach(),
                self.za[i : i + 1].detach(),
                Pose(*self.angles[i].tolist()),
                as_picture(made[i]),
                (before[i], after[i]),
            )
            for i in range(len(made))
        ]
