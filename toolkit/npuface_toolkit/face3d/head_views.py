"""Many procedural heads from several sides in one file: training data for those who have no faces."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.head_pictures import HeadPicture, draw_head, draw_pose, picture_of
from npuface_toolkit.face3d.head_shape import HeadShape, distance
from npuface_toolkit.face3d.neural_renderer import SCALE
from npuface_toolkit.tensors_file import write_tensors

FORMAT = "npuface-heads-1"
POINTS = 2048
"""Points of the box for each head of which it is known whether they lie in it."""
_NEAR = 0.08
"""Spread of those of them that lie about the surface."""


@dataclass(frozen=True)
class HeadViews:
    """N heads from V sides. n: side of the pictures, g = n / 4: side of the ray grid.

    Attributes:
        rgb: uint8 [N, V, n, n, 3].
        depth: float16 [N, V, g, g], mean over the cell's pixels that the head covers; 0 where there are none.
        opacity: float16 [N, V, g, g], share of the cell that the head covers.
        poses: float32 [N, V, 3], yaw, pitch and roll in degrees.
        landmarks: float32 [N, V, 68, 2] in pixels.
        points: float16 [N, P, 3], places in the box, half of them near the surface.
        inside: uint8 [N, P], 1 where such a place lies in the head.
        shapes: float32 [N, 12], the numbers of each HeadShape.
    """

    rgb: NDArray[np.uint8]
    depth: NDArray[np.float16]
    opacity: NDArray[np.float16]
    poses: NDArray[np.float32]
    landmarks: NDArray[np.float32]
    points: NDArray[np.float16]
    inside: NDArray[np.uint8]
    shapes: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rgb)

    def part(self, chosen: slice | NDArray[np.intp]) -> HeadViews:
        """Some of the heads."""
        return HeadViews(*(getattr(self, f.name)[chosen] for f in fields(self)))


def make_views(heads: int, views: int, size: int, seed: int, max_yaw: float, max_pitch: float) -> Iterator[HeadViews]:
    """Draw heads, one after another, on all processors; the same seed gives the same heads.

    Args:
        heads, views: how many.
        size: side of the pictures in pixels.
        seed: of shapes, looks and poses.
        max_yaw, max_pitch: degrees to either side.

    Raises:
        UserError: the size is no multiple of SCALE.
    """
    if size % SCALE:
        why = f"it is no multiple of {SCALE}, and a ray stands for {SCALE} x {SCALE} pixels"
        raise UserError(f"cannot draw heads with {size} pixels", why, f"give --size {size - size % SCALE}")
    jobs = [(seed, head, views, size, max_yaw, max_pitch) for head in range(heads)]
    with ProcessPoolExecutor() as pool:
        yield from pool.map(_one, jobs, chunksize=8)


def stacked(heads: list[HeadViews]) -> HeadViews:
    """Heads in one."""
    return HeadViews(*(np.concatenate([getattr(head, f.name) for head in heads]) for f in fields(HeadViews)))


def _one(job: tuple[int, int, int, int, float, float]) -> HeadViews:
    seed, number, views, size, max_yaw, max_pitch = job
    random = np.random.default_rng((seed, number))
    head = draw_head(random)
    pictures = [picture_of(head, draw_pose(random, max_yaw, max_pitch), size) for _ in range(views)]
    cells = [to_grid(picture) for picture in pictures]
    points = _places(head.shape, random)
    return HeadViews(
        np.stack([(p.rgb * 255).round().astype(np.uint8) for p in pictures])[None],
        np.stack([depth for depth, _ in cells])[None],
        np.stack([opacity for _, opacity in cells])[None],
        np.array([[(p.pose.yaw, p.pose.pitch, p.pose.roll) for p in pictures]], np.float32),
        np.stack([p.landmarks for p in pictures]).astype(np.float32)[None],
        points.astype(np.float16)[None],
        (distance(points.astype(np.float16).astype(np.float32), head.shape) < 0).astype(np.uint8)[None],
        np.array([[getattr(head.shape, f.name) for f in fields(HeadShape)]], np.float32),
    )


def to_grid(picture: HeadPicture) -> tuple[NDArray[np.float16], NDArray[np.float16]]:
    """Depth and opacity of a picture, in cells of SCALE x SCALE pixels."""
    grid = len(picture.depth) // SCALE
    cells = (grid, SCALE, grid, SCALE)
    covered = (picture.depth > 0).reshape(cells)
    depth = picture.depth.reshape(cells).sum((1, 3)) / np.maximum(covered.sum((1, 3)), 1)
    return depth.astype(np.float16), picture.opacity.reshape(cells).mean((1, 3)).astype(np.float16)


def _places(shape: HeadShape, random: np.random.Generator) -> NDArray[np.float32]:
    """Half of the places even in the box, half about the surface (by one step along the distance's slope)."""
    even = random.uniform(-1, 1, (POINTS // 2, 3)).astype(np.float32)
    near = random.uniform(-1, 1, (POINTS // 2, 3)).astype(np.float32)
    step = np.float32(1e-2)
    for _ in range(4):
        away = distance(near, shape)
        slopes = [distance(near + axis, shape) - away for axis in np.eye(3, dtype=np.float32) * step]
        slope = np.stack(slopes, 1) / step
        near -= (away / np.maximum((slope**2).sum(1), 0.2))[:, None] * slope
    near += random.normal(0, _NEAR, near.shape).astype(np.float32)
    return np.concatenate([even, near]).clip(-1, 1)


def save_views(path: Path, heads: HeadViews) -> None:
    """Write heads. Raises UserError where the file cannot be written."""
    write_tensors(path, {f.name: torch.from_numpy(getattr(heads, f.name)) for f in fields(heads)}, FORMAT)


def load_views(path: Path) -> HeadViews:
    """Read heads that `save_views` wrote.

    Raises:
        UserError: the file is missing, damaged or something else, or its arrays are not those of one set of heads.
    """
    what, fix = f"cannot read the heads {path}", "make them with npuface face3d heads"
    if not path.is_file():
        raise UserError(what, "there is no such file", fix)
    try:
        with safe_open(path, framework="np") as file:
            if (file.metadata() or {}).get("format") != FORMAT:
                raise UserError(what, "it holds something else", fix)
            heads = HeadViews(*(file.get_tensor(f.name) for f in fields(HeadViews)))
    except (SafetensorError, OSError, TypeError) as error:  # TypeError: of a type that numpy lacks
        raise UserError(what, f"it is damaged ({error})", fix) from None
    wrong = _wrong(heads)
    if wrong:
        raise UserError(what, f"its parts do not fit together: {wrong}", fix)
    return heads


def _wrong(heads: HeadViews) -> str | None:
    """Why arrays are not what HeadViews says; None if they are."""
    if heads.rgb.ndim != 5 or heads.points.ndim != 3 or 0 in heads.rgb.shape or 0 in heads.points.shape:
        return f"its pictures are {list(heads.rgb.shape)}, its points {list(heads.points.shape)}"
    n, views, size = heads.rgb.shape[:3]
    grid, points = size // SCALE, heads.points.shape[1]
    wanted: dict[str, tuple[tuple[int, ...], Any]] = {
        "rgb": ((n, views, SCALE * grid, SCALE * grid, 3), np.uint8),
        "depth": ((n, views, grid, grid), np.float16),
        "opacity": ((n, views, grid, grid), np.float16),
        "poses": ((n, views, 3), np.float32),
        "landmarks": ((n, views, 68, 2), np.float32),
        "points": ((n, points, 3), np.float16),
        "inside": ((n, points), np.uint8),
        "shapes": ((n, len(fields(HeadShape))), np.float32),
    }
    for name, (shape, kind) in wanted.items():
        array = getattr(heads, name)
        if array.shape != shape or array.dtype != kind:
            return f"{name} is {array.dtype} {list(array.shape)}, not {np.dtype(kind)} {list(shape)}"
        if not np.isfinite(array).all():
            return f"{name} has values that are not finite"
    return "inside has values other than 0 and 1" if heads.inside.max() > 1 else None
