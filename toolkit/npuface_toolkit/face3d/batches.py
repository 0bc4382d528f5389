"""Batches for the 3D model: a picture that gives the codes, and a picture of the same head that is to be rendered.

Every batch is drawn from the seed and the number of its step, so that a resumed run sees what the whole run would.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.config import Face3dTraining
from npuface_toolkit.face3d.head_views import HeadViews
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.sheets import as_tensors

Arrays = tuple[NDArray[Any], ...]
_SOLID_POINTS = 384
_SAME_VIEW = 0.3
"""Share of the pairs of heads whose two pictures are one, and of those of photographs that are a mirror image."""


@dataclass(frozen=True)
class Batch:
    """B pairs, the first H of procedural heads, whose geometry is known.

    Attributes:
        source, target: RGB in 0..1 [B, 3, n, n]: where the codes come from, and what is to be rendered.
        source_pose, pose: of both, yaw, pitch and roll in degrees [B, 3].
        depth, opacity: of the targets of the heads [H, 1, g, g].
        points, inside: places in the heads' box [H, 3, P], and whether they lie in the head [H, P].
    """

    source: Tensor
    target: Tensor
    source_pose: Tensor
    pose: Tensor
    depth: Tensor
    opacity: Tensor
    points: Tensor
    inside: Tensor

    @property
    def heads(self) -> int:
        """H."""
        return len(self.depth)


class Batches:
    """Draws batches.

    Args:
        heads, photos: to draw from; one of them may be empty.
        config: batch size, shares and seed.
        process, processes: whose share of each batch is drawn, an equal one of its heads and of its photographs.

    Raises:
        UserError: they do not divide among the processes.
    """

    def __init__(
        self,
        heads: HeadViews | None,
        photos: Photos | None,
        config: Face3dTraining,
        process: int = 0,
        processes: int = 1,
    ) -> None:
        self.heads, self.photos, self.config = heads, photos, config
        share = config.photos if heads and photos else float(bool(photos))
        self.from_photos = round(config.batch * share)
        self.share = slice(process, None, processes)
        kinds = {"heads": config.batch - self.from_photos, "photographs": self.from_photos}
        if any(count % processes for count in kinds.values()):
            parts = " and ".join(f"{count} {kind}" for kind, count in kinds.items())
            why = f"a batch of {parts} does not divide among {processes} processes"
            raise UserError("cannot train", why, f"make both multiples of {processes}, by batch and photos")

    def digest(self) -> str:
        """SHA-256 of the pictures and poses that are drawn from: a run goes on with those that it began with."""
        found = hashlib.sha256()
        for kind in (self.heads, self.photos):
            for part in (kind.rgb, kind.poses) if kind else ():
                found.update(np.ascontiguousarray(part).data)
        return found.hexdigest()

    def draw(self, step: int) -> Batch:
        """The batch of a step."""
        random = np.random.default_rng((self.config.seed, step))
        parts = []
        count = self.config.batch - self.from_photos
        empty = np.zeros((0, 1, 1, 1), np.float32)
        geometry: Arrays = (empty, empty, np.zeros((0, 3, 1), np.float32), np.zeros((0, 1), np.float32))
        if self.heads and count:
            pairs, geometry = _of_heads(self.heads, count, random)
            parts.append(pairs)
        if self.photos and self.from_photos:
            parts.append(_of_photos(self.photos, self.from_photos, random))
        parts = [tuple(array[self.share] for array in part) for part in parts]
        geometry = tuple(array[self.share] for array in geometry)
        source, target, source_pose, pose = (np.concatenate(part) for part in zip(*parts, strict=True))
        tensors = (as_tensors(source), as_tensors(target), torch.from_numpy(source_pose), torch.from_numpy(pose))
        return Batch(*tensors, *(torch.from_numpy(part) for part in geometry))


def _of_heads(heads: HeadViews, count: int, random: np.random.Generator) -> tuple[Arrays, Arrays]:
    """Pairs of views, and the geometry of the second."""
    who = random.integers(0, len(heads), count)
    views = heads.rgb.shape[1]
    first = random.integers(0, views, count)
    second = (first + random.integers(1, max(views, 2), count) * (random.random(count) > _SAME_VIEW)) % views
    chosen = random.integers(0, heads.points.shape[1], (count, _SOLID_POINTS))
    geometry = (
        heads.depth[who, second][:, None].astype(np.float32),
        heads.opacity[who, second][:, None].astype(np.float32),
        heads.points[who[:, None], chosen].transpose(0, 2, 1).astype(np.float32),
        heads.inside[who[:, None], chosen].astype(np.float32),
    )
    pairs = (heads.rgb[who, first], heads.rgb[who, second], heads.poses[who, first], heads.poses[who, second])
    return pairs, geometry


def _of_photos(photos: Photos, count: int, random: np.random.Generator) -> Arrays:
    """Photographs or their mirror images, rendered as they are, or as the other of both."""
    who = random.integers(0, len(photos), count)
    rgb, poses = photos.rgb[who], photos.poses[who]
    mirrored = random.random(count) < 0.5
    other = mirrored ^ (random.random(count) < _SAME_VIEW)

    def seen(flip: NDArray[np.bool_]) -> tuple[NDArray[Any], NDArray[Any]]:
        turned = np.where(flip[:, None, None, None], rgb[:, :, ::-1], rgb)
        return turned, np.where(flip[:, None], poses * np.array([-1, 1, -1], np.float32), poses)

    (source, source_pose), (target, pose) = seen(mirrored), seen(other)
    return source, target, source_pose, pose
