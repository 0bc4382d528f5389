"""What the generator and the encoder are trained for (steps S206 and S736), beside the adversarial loss."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor
from torch.nn import functional

from npuface_toolkit.face3d.batches import Batch
from npuface_toolkit.face3d.config import LossWeights
from npuface_toolkit.face3d.generator import Generator, Rendering
from npuface_toolkit.face3d.rays import encode

LEAST_OPACITY = 0.3
"""Mean opacity below which the density is pulled up again: a face covers more of its picture than that."""
_DEGREES = 45.0


def terms(
    generator: Generator, rendered: Rendering, batch: Batch, zs: Tensor, za: Tensor, guess: Tensor
) -> dict[str, Tensor]:
    """Every term of a batch, by its name in LossWeights.

    Args:
        generator: for the density at known points.
        rendered: of the codes, at the targets' poses.
        batch: the pictures.
        zs, za: the codes [B, Z, 1, 1].
        guess: the encoder's pose of the sources [B, 3], degrees.
    """
    small = functional.adaptive_avg_pool2d(batch.target, rendered.opacity.shape[-1])
    covered = rendered.opacity.detach()
    if batch.heads:
        covered = torch.cat([batch.opacity, covered[batch.heads :]])
    return {
        "picture": _pixels(rendered.rgb, batch.target),
        "colour": (rendered.colour - small * covered).abs().mean(),
        "pose": ((guess - batch.source_pose) / _DEGREES).abs().mean(),
        "code": (zs**2).mean() + (za**2).mean(),
        "hollow": (LEAST_OPACITY - rendered.opacity.mean((1, 2, 3))).clamp(min=0).mean(),
        **(_geometry(generator, rendered, batch, zs) if batch.heads else {}),
    }


def weighted(found: Mapping[str, Tensor], weights: LossWeights) -> Tensor:
    """The sum of the terms, each times its weight."""
    return torch.stack([getattr(weights, name) * term for name, term in found.items()]).sum()


def _pixels(made: Tensor, wanted: Tensor) -> Tensor:
    """Mean absolute difference at full, half and quarter size: small ones first draw the large shapes."""
    total = (made - wanted).abs().mean()
    for size in (2, 4):
        total = total + (functional.avg_pool2d(made, size) - functional.avg_pool2d(wanted, size)).abs().mean()
    return total / 3


def _geometry(generator: Generator, rendered: Rendering, batch: Batch, zs: Tensor) -> dict[str, Tensor]:
    """Terms of the procedural heads, which come first in the batch."""
    count, rays = batch.heads, generator.config.rays
    opacity = rendered.opacity[:count]
    known = batch.opacity > 0.9
    away = (rendered.depth[:count] - rays.distance * opacity) - (batch.depth - rays.distance) * batch.opacity
    density = generator.field.density(encode(batch.points, rays.point_frequencies)[..., None], zs[:count])
    solid = (1 - torch.exp(-rays.delta * density[:, 0, :, 0].float())).clamp(1e-3, 1 - 1e-3)
    return {
        "depth": (away.abs() * known).sum() / known.sum().clamp(min=1),
        "opacity": (opacity - batch.opacity).abs().mean(),
        # by hand: where CUDA casts to bfloat16, torch refuses binary_cross_entropy whatever it is given
        "solid": -torch.where(batch.inside > 0.5, solid, 1 - solid).log().mean(),
    }
