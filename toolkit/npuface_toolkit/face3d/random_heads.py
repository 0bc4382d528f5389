"""How like photographs the heads of random codes are: kernel distances, with a floor of photographs themselves."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.face3d_checkpoint import Face3d
from npuface_toolkit.face3d.identity_crop import identities_of
from npuface_toolkit.face3d.kernel_distance import kernel_distance, low_level_features, standardised
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.pose import rotations
from npuface_toolkit.face3d.rays import ray_inputs
from npuface_toolkit.face3d.sheets import as_picture

_TOGETHER = 16


@dataclass(frozen=True)
class RandomHeads:
    """Kernel distances (kernel_distance.py) of heads with random codes to photographs, at the photographs' poses.

    Attributes:
        photos: how many, and how many heads.
        identity, identity_floor: by the features of the judge; the floor is of photographs of one half of the people
            to those of the other half.
        low_level, low_level_floor: by low_level_features, the same.
    """

    photos: int
    identity: float
    identity_floor: float
    low_level: float
    low_level_floor: float


def random_heads(model: Face3d, photos: Photos, judge: nn.Module, seed: int = 0) -> RandomHeads:
    """Draw a head for every photograph and compare both sets.

    Args:
        model: a trained one.
        photos: aligned; of people whom training never saw.
        judge: identity encoder that gives the features.
        seed: of the codes.

    Raises:
        UserError: the photographs show fewer than four people, or one of two halves of them in a single picture.
    """
    one = _first_half(photos.identities)
    if len(set(photos.identities)) < 4 or min(one.sum(), (~one).sum()) < 2:
        raise UserError("cannot compare random heads", "the photographs show too few people", "give more faces")
    made = _drawn(model, photos, seed)
    camera = model.generator.config.rays
    found: dict[str, float] = {}
    for name, features in (
        ("identity", lambda rgb: identities_of(judge, rgb, photos.poses, camera).double().numpy()),
        ("low_level", low_level_features),
    ):
        real = features(photos.rgb)
        known, drawn = standardised(real, real, features(made))
        found |= {name: kernel_distance(known, drawn), f"{name}_floor": kernel_distance(known[one], known[~one])}
    return RandomHeads(len(photos), **found)


def _first_half(identities: tuple[str, ...]) -> NDArray[np.bool_]:
    people = sorted(set(identities))
    first = set(people[::2])
    return np.array([who in first for who in identities])


@torch.no_grad()
def _drawn(model: Face3d, photos: Photos, seed: int) -> NDArray[np.uint8]:
    shape = model.generator.config
    random = torch.Generator().manual_seed(seed)
    made = []
    for first in range(0, len(photos), _TOGETHER):
        angles = torch.from_numpy(photos.poses[first : first + _TOGETHER])
        codes = (
            torch.randn(len(angles), length, 1, 1, generator=random)
            for length in (shape.shape_codes, shape.appearance_codes)
        )
        made += [as_picture(rgb) for rgb in model.generator(*ray_inputs(rotations(angles), shape.rays), *codes)]
    return np.stack(made)
