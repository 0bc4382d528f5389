"""Augmentation: affine, flip with index swap, rotation, occlusion (patent, paragraph 5), and what cameras do."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_runtime.geometry import Crop, box_of_points, crop_of_box
from npuface_toolkit.camera_effects import CameraEffects, camera_picture
from npuface_toolkit.schemes import Scheme, mirror_points


@dataclass(frozen=True)
class Augmentation:
    """How far pictures are varied; each is drawn uniformly from +- the value unless said otherwise.

    Attributes:
        margin: side of the square crop over the longer side of the points' box.
        rotation: degrees.
        scale: relative change of the crop's side.
        shift: of the crop's centre, over its side.
        flip, occlusion: probability of each.
        camera: what light and camera do to the picture.
    """

    margin: float = 1.3
    rotation: float = 25.0
    scale: float = 0.2
    shift: float = 0.08
    flip: float = 0.5
    occlusion: float = 0.3
    camera: CameraEffects = field(default_factory=CameraEffects)


def plain_crop(
    picture: NDArray[np.uint8], points: NDArray[np.float32], size: int, margin: float
) -> tuple[NDArray[np.uint8], NDArray[np.float32], Crop]:
    """The square around the points, as the networks see it: RGB [size, size, 3], points [K, 2] in it, the crop."""
    crop = crop_of_box(box_of_points(points), margin)
    return warp(picture, crop, size), crop.to_input(points, (size, size)), crop


def warp(picture: NDArray[np.uint8], crop: Crop, size: int) -> NDArray[np.uint8]:
    """Cut the crop out of an RGB picture [H, W, 3] and scale it to [size, size, 3]; outside is black."""
    matrix = crop.matrix((size, size))
    shrink = crop.side / size
    if shrink > 2:  # bilinear sampling of a much larger picture would alias
        height, width = picture.shape[:2]
        small = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        picture = np.asarray(cv2.resize(picture, small, interpolation=cv2.INTER_AREA), np.uint8)
        back = (width / small[0], height / small[1])  # of the sizes as they came out after rounding
        matrix = matrix @ np.array([[back[0], 0, back[0] / 2 - 0.5], [0, back[1], back[1] / 2 - 0.5], [0, 0, 1]])
    out: NDArray[np.uint8] = cv2.warpAffine(picture, matrix, (size, size), flags=cv2.INTER_LINEAR)
    return out


def augmented_crop(
    picture: NDArray[np.uint8],
    points: NDArray[np.float32],
    size: int,
    scheme: Scheme,
    how: Augmentation,
    rng: np.random.Generator,
) -> tuple[NDArray[np.uint8], NDArray[np.float32], bool]:
    """One varied training sample: RGB [size, size, 3] uint8, points [K, 2] in it, and whether it is mirrored."""
    base = crop_of_box(box_of_points(points), how.margin)
    shift = rng.uniform(-how.shift, how.shift, 2) * base.side
    crop = Crop(
        base.x + shift[0],
        base.y + shift[1],
        base.side * float(np.exp(rng.uniform(-how.scale, how.scale))),
        float(np.deg2rad(rng.uniform(-how.rotation, how.rotation))),
    )
    cut, moved = warp(picture, crop, size), crop.to_input(points, (size, size))
    flipped = bool(rng.random() < how.flip)
    if flipped:
        cut, moved = np.ascontiguousarray(cut[:, ::-1]), mirror_points(moved, size, scheme).astype(np.float32)
    return camera_picture(_occlude(cut, how, rng), how.camera, rng), moved, flipped


def _occlude(cut: NDArray[np.uint8], how: Augmentation, rng: np.random.Generator) -> NDArray[np.uint8]:
    if rng.random() >= how.occlusion:
        return cut
    size = cut.shape[0]
    h, w = (int(v) for v in rng.integers(size // 10, size // 3, 2))
    y, x = int(rng.integers(0, size - h)), int(rng.integers(0, size - w))
    out = cut.copy()
    noise = rng.integers(0, 256, (h, w, 3)) if rng.random() < 0.5 else rng.integers(0, 256, 3)
    out[y : y + h, x : x + w] = noise
    return out
