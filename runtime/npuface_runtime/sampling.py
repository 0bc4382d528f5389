"""Cutting a square out of a frame: bilinear, anti-aliased, in numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Crop

FloatArray = NDArray[np.float32]
_MAX_SIDES = 16
"""A crop this many times the frame's longer side holds no face, and would only fill memory with black."""


def sample_crop(frame: NDArray[np.uint8], crop: Crop, size: int) -> FloatArray:
    """Cut a crop out of a frame and scale it.

    Args:
        frame: RGB uint8 [H, W, 3].
        crop: what to cut, in frame pixels.
        size: side of the result in pixels.

    Returns:
        float32 [size, size, 3], 0..255; what lies outside the frame is black.

    Bilinear. Where the crop shrinks by more than 2, blocks of about as many pixels are averaged first, as
    bilinear sampling alone would skip pixels and alias.

    Raises:
        UserError: the crop is not finite, has no extent, or is many times larger than the frame.
    """
    if not np.isfinite([crop.x, crop.y, crop.angle]).all() or not 0 < crop.side <= _MAX_SIDES * max(frame.shape[:2]):
        raise UserError(
            "cannot cut the face out of the frame",
            f"{crop} is not a region of a frame of {frame.shape[1]} x {frame.shape[0]} pixels",
            "give boxes in frame pixels",
        )
    shrink = crop.side / size
    block = round(shrink) if shrink > 2 else 1
    region, left, top = _region(frame, crop, size, block)
    small = _block_mean(region, block)
    inside = Crop(
        (crop.x - left + 0.5) / block - 0.5, (crop.y - top + 0.5) / block - 0.5, crop.side / block, crop.angle
    )
    return _upright(small, inside, size) if crop.angle == 0 else _turned(small, inside, size)


def _region(frame: NDArray[np.uint8], crop: Crop, size: int, block: int) -> tuple[NDArray[np.uint8], int, int]:
    """The part of the frame that the crop reads, its left and its top; black where it leaves the frame.

    It holds every pixel that bilinear sampling touches, and a whole number of blocks.
    """
    corner = (crop.side - crop.side / size) / 2 * (abs(np.cos(crop.angle)) + abs(np.sin(crop.angle)))
    left, top = (int(np.floor(v - corner)) - block for v in (crop.x, crop.y))
    blocks = int(2 * corner / block) + 4
    side = blocks * block
    height, width = frame.shape[:2]
    if left >= 0 and top >= 0 and left + side <= width and top + side <= height:
        return frame[top : top + side, left : left + side], left, top
    region = np.zeros((side, side, 3), np.uint8)
    x0, x1 = max(left, 0), min(left + side, width)
    y0, y1 = max(top, 0), min(top + side, height)
    if x0 < x1 and y0 < y1:
        region[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0:y1, x0:x1]
    return region, left, top


def _block_mean(region: NDArray[np.uint8], block: int) -> NDArray[np.uint8] | FloatArray:
    """The mean of each block x block pixels; [n * block, n * block, 3] -> [n, n, 3]."""
    if block == 1:
        return region
    n = len(region) // block
    rows: NDArray[Any] = region[::block].astype(np.uint16 if block <= 257 else np.uint32)
    for k in range(1, block):
        rows += region[k::block]
    cells = rows.reshape(n, n, block, 3)
    total = cells[:, :, 0].astype(np.float32)
    for k in range(1, block):
        total += cells[:, :, k]
    total *= np.float32(1 / block**2)
    return total


def _upright(picture: NDArray[np.uint8] | FloatArray, crop: Crop, size: int) -> FloatArray:
    """Bilinear sampling without rotation: first along the rows, then along the columns."""
    offsets = (np.arange(size) - (size - 1) / 2) * (crop.side / size)
    column, across = _split(crop.x + offsets)
    row, down = _split(crop.y + offsets)
    above = picture[row].astype(np.float32)
    blended = _blend(above, picture[row + 1].astype(np.float32), down[:, None, None])
    left = np.take(blended, column, axis=1)
    return _blend(left, np.take(blended, column + 1, axis=1), across[:, None])


def _turned(picture: NDArray[np.uint8] | FloatArray, crop: Crop, size: int) -> FloatArray:
    """Bilinear sampling at any angle, four neighbours a pixel."""
    along = np.arange(size, dtype=np.float32)
    grid = np.stack(np.meshgrid(along, along), axis=-1).reshape(-1, 2)
    points = crop.to_frame(grid, size)
    (column, across), (row, down) = _split(points[:, 0]), _split(points[:, 1])
    flat = picture.reshape(-1, 3)
    index, stride = row * picture.shape[1] + column, picture.shape[1]
    corners = [flat[index + step].astype(np.float32) for step in (0, 1, stride, stride + 1)]
    above = _blend(corners[0], corners[1], across[:, None])
    below = _blend(corners[2], corners[3], across[:, None])
    return _blend(above, below, down[:, None]).reshape(size, size, 3)


def _split(position: NDArray[np.floating]) -> tuple[NDArray[np.intp], FloatArray]:
    """Positions -> the pixel before each, and how far it lies from that pixel towards the next."""
    before = np.floor(position)
    return before.astype(np.intp), (position - before).astype(np.float32)


def _blend(first: FloatArray, second: FloatArray, share: FloatArray) -> FloatArray:
    """First + share * (second - first). Overwrites both."""
    second -= first
    second *= share
    first += second
    return first
