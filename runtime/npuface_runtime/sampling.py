"""Cutting a face out of a frame: bilinear, anti-aliased, in numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Crop, Shape

FloatArray = NDArray[np.float32]
_MAX_SIDES = 16
"""A crop this many times the frame's longer side holds no face, and would only fill memory with black."""


def sample_crop(frame: NDArray[np.uint8], crop: Crop, shape: Shape) -> FloatArray:
    """Cut a crop out of a frame and scale it.

    Args:
        frame: RGB uint8 [H, W, 3].
        crop: what to cut, in frame pixels.
        shape: height and width of the result in pixels.

    Returns:
        float32 [height, width, 3], 0..255; what lies outside the frame is black.

    Bilinear. Where the crop shrinks by more than 2, blocks of about as many pixels are averaged first, as
    bilinear sampling alone would skip pixels and alias.

    Raises:
        UserError: the crop is not finite, has no extent, or is many times larger than the frame.
    """
    longest = crop.pixel(shape) * max(shape)
    if not np.isfinite([crop.x, crop.y, crop.angle]).all() or not 0 < longest <= _MAX_SIDES * max(frame.shape[:2]):
        raise UserError(
            "cannot cut the face out of the frame",
            f"{crop} is not a region of a frame of {frame.shape[1]} x {frame.shape[0]} pixels",
            "give boxes in frame pixels",
        )
    shrink = crop.pixel(shape)
    block = round(shrink) if shrink > 2 else 1
    region, left, top = _region(frame, crop, shape, block)
    small = _block_mean(region, block)
    inside = Crop(
        (crop.x - left + 0.5) / block - 0.5, (crop.y - top + 0.5) / block - 0.5, crop.side / block, crop.angle
    )
    return _upright(small, inside, shape) if crop.angle == 0 else _turned(small, inside, shape)


def _region(frame: NDArray[np.uint8], crop: Crop, shape: Shape, block: int) -> tuple[NDArray[np.uint8], int, int]:
    """The part of the frame that the crop reads, its left and its top; black where it leaves the frame.

    It holds every pixel that bilinear sampling touches, and a whole number of blocks.
    """
    down, across = ((n - 1) * crop.pixel(shape) / 2 for n in shape)
    c, s = abs(np.cos(crop.angle)), abs(np.sin(crop.angle))
    reach_x, reach_y = across * c + down * s, across * s + down * c
    left, top = (int(np.floor(v - reach)) - block for v, reach in ((crop.x, reach_x), (crop.y, reach_y)))
    wide, high = ((int(2 * reach / block) + 4) * block for reach in (reach_x, reach_y))
    height, width = frame.shape[:2]
    if left >= 0 and top >= 0 and left + wide <= width and top + high <= height:
        return frame[top : top + high, left : left + wide], left, top
    region = np.zeros((high, wide, 3), np.uint8)
    x0, x1 = max(left, 0), min(left + wide, width)
    y0, y1 = max(top, 0), min(top + high, height)
    if x0 < x1 and y0 < y1:
        region[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0:y1, x0:x1]
    return region, left, top


def _block_mean(region: NDArray[np.uint8], block: int) -> NDArray[np.uint8] | FloatArray:
    """The mean of each block x block pixels; [m * block, n * block, 3] -> [m, n, 3]."""
    if block == 1:
        return region
    m, n = region.shape[0] // block, region.shape[1] // block
    rows: NDArray[Any] = region[::block].astype(np.uint16 if block <= 257 else np.uint32)
    for k in range(1, block):
        rows += region[k::block]
    cells = rows.reshape(m, n, block, 3)
    total = cells[:, :, 0].astype(np.float32)
    for k in range(1, block):
        total += cells[:, :, k]
    total *= np.float32(1 / block**2)
    return total


def _upright(picture: NDArray[np.uint8] | FloatArray, crop: Crop, shape: Shape) -> FloatArray:
    """Bilinear sampling without rotation: first along the rows, then along the columns."""
    rows, columns = ((np.arange(n) - (n - 1) / 2) * crop.pixel(shape) for n in shape)
    column, across = _split(crop.x + columns)
    row, down = _split(crop.y + rows)
    above = picture[row].astype(np.float32)
    blended = _blend(above, picture[row + 1].astype(np.float32), down[:, None, None])
    left = np.take(blended, column, axis=1)
    return _blend(left, np.take(blended, column + 1, axis=1), across[:, None])


def _turned(picture: NDArray[np.uint8] | FloatArray, crop: Crop, shape: Shape) -> FloatArray:
    """Bilinear sampling at any angle, four neighbours a pixel."""
    rows, columns = (np.arange(n, dtype=np.float32) for n in shape)
    grid = np.stack(np.meshgrid(columns, rows), axis=-1).reshape(-1, 2)
    points = crop.to_frame(grid, shape)
    (column, across), (row, down) = _split(points[:, 0]), _split(points[:, 1])
    flat = picture.reshape(-1, 3)
    index, stride = row * picture.shape[1] + column, picture.shape[1]
    corners = [flat[index + step].astype(np.float32) for step in (0, 1, stride, stride + 1)]
    above = _blend(corners[0], corners[1], across[:, None])
    below = _blend(corners[2], corners[3], across[:, None])
    return _blend(above, below, down[:, None]).reshape(*shape, 3)


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
