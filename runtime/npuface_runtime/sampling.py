"""Cutting a face out of a frame: bilinear, anti-aliased, in numpy alone."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Crop, Shape
from npuface_runtime.scratch import Scratch

FloatArray = NDArray[np.float32]
_MAX_SIDES = 16
"""A crop this many times the frame's longer side holds no face, and would only fill memory with black."""


def sample_crop(frame: NDArray[np.uint8], crop: Crop, shape: Shape, scratch: Scratch | None = None) -> FloatArray:
    """Cut a crop out of a frame and scale it.

    Args:
        frame: RGB uint8 [H, W, 3].
        crop: what to cut, in frame pixels.
        shape: height and width of the result in pixels.
        scratch: memory to work in; the result lies in it too. Without it, memory of its own.

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
    scratch = scratch or Scratch()
    shrink = crop.pixel(shape)
    block = round(shrink) if shrink > 2 else 1
    region, left, top = _region(frame, crop, shape, block, scratch)
    small = _block_mean(region, block, scratch)
    inside = Crop(
        (crop.x - left + 0.5) / block - 0.5, (crop.y - top + 0.5) / block - 0.5, crop.side / block, crop.angle
    )
    return (_upright if crop.angle == 0 else _turned)(small, inside, shape, scratch)


def _region(
    frame: NDArray[np.uint8], crop: Crop, shape: Shape, block: int, scratch: Scratch
) -> tuple[NDArray[np.uint8], int, int]:
    """The part of the frame that the crop reads, its left and its top; black where it leaves the frame.

    It holds every pixel that bilinear sampling touches, and a whole number of blocks.
    """
    down, across = ((n - 1) * crop.pixel(shape) / 2 for n in shape)
    c, s = abs(np.cos(crop.angle)), abs(np.sin(crop.angle))
    reach_x, reach_y = across * c + down * s, across * s + down * c
    left, top = (int(np.floor(v - reach)) - block for v, reach in ((crop.x, reach_x), (crop.y, reach_y)))
    wide, high = ((int(2 * reach / block) + 4) * block for reach in (reach_x, reach_y))
    height, width = frame.shape[:2]
    region = scratch.array("region", (high, wide, 3), np.uint8)
    x0, x1 = max(left, 0), min(left + wide, width)
    y0, y1 = max(top, 0), min(top + high, height)
    if (x1 - x0, y1 - y0) != (wide, high):
        region.fill(0)
    if x0 < x1 and y0 < y1:
        region[y0 - top : y1 - top, x0 - left : x1 - left] = frame[y0:y1, x0:x1]
    return region, left, top


def _block_mean(region: NDArray[np.uint8], block: int, scratch: Scratch) -> NDArray[np.uint8] | FloatArray:
    """The mean of each block x block pixels; [m * block, n * block, 3] -> [m, n, 3]."""
    if block == 1:
        return region
    m, n = region.shape[0] // block, region.shape[1] // block
    rows = scratch.array("rows", (m, n * block, 3), np.uint16 if block <= 257 else np.uint32)
    rows[:] = region[::block]
    for k in range(1, block):
        rows += region[k::block]
    cells = rows.reshape(m, n, block, 3)
    total = scratch.array("blocks", (m, n, 3))
    total[:] = cells[:, :, 0]
    for k in range(1, block):
        total += cells[:, :, k]
    total *= np.float32(1 / block**2)
    return total


def _upright(picture: NDArray[np.uint8] | FloatArray, crop: Crop, shape: Shape, scratch: Scratch) -> FloatArray:
    """Bilinear sampling without rotation: first along the rows, then along the columns."""
    rows, columns = ((np.arange(n) - (n - 1) / 2) * crop.pixel(shape) for n in shape)
    column, across = _split(crop.x + columns)
    row, down = _split(crop.y + rows)
    above = _take(picture, row, 0, "above", scratch)
    blended = _blend(above, _take(picture, row + 1, 0, "below", scratch), down[:, None, None])
    left = _take(blended, column, 1, "left", scratch)
    return _blend(left, _take(blended, column + 1, 1, "right", scratch), across[:, None])


def _turned(picture: NDArray[np.uint8] | FloatArray, crop: Crop, shape: Shape, scratch: Scratch) -> FloatArray:
    """Bilinear sampling at any angle, four neighbours a pixel."""
    c, s = (turn(crop.angle) * crop.pixel(shape) for turn in (np.cos, np.sin))
    v, u = (np.arange(n) - (n - 1) / 2 for n in shape)
    across = _sums(crop.x - s * v, c * u, scratch.array("across", shape))
    down = _sums(crop.y + c * v, s * u, scratch.array("down", shape))
    row, index = (scratch.array(name, shape, np.intp) for name in ("row", "index"))
    before = scratch.array("before", shape)
    for position, pixel in ((down, row), (across, index)):
        np.floor(position, out=before)
        position -= before
        np.copyto(pixel, before, casting="unsafe")
    row *= picture.shape[1]
    index += row
    flat, corners = picture.reshape(-1, 3), []
    for name, step in (("above", 0), ("right of it", 1), ("below", picture.shape[1] - 1), ("right of that", 1)):
        index += step
        corners.append(_take(flat, index.reshape(-1), 0, name, scratch).reshape(*shape, 3))
    above = _blend(corners[0], corners[1], across[:, :, None])
    below = _blend(corners[2], corners[3], across[:, :, None])
    return _blend(above, below, down[:, :, None])


def _sums(of_row: NDArray[np.floating], of_column: NDArray[np.floating], out: FloatArray) -> FloatArray:
    """Every value of a row plus every value of a column. Of one type, as numpy else takes memory to convert them."""
    return np.add(of_row.astype(np.float32)[:, None], of_column.astype(np.float32), out=out)


def _take(
    picture: NDArray[np.uint8] | FloatArray, index: NDArray[np.intp], axis: int, name: str, scratch: Scratch
) -> FloatArray:
    """Entries of a contiguous array along an axis, as floats in the scratch array of that name."""
    shape = picture.shape[:axis] + index.shape + picture.shape[axis + 1 :]
    # a mode other than numpy's own makes it write into `out` at once; every index lies inside
    taken = np.take(picture, index, axis, out=scratch.array(f"taken {name}", shape, picture.dtype), mode="clip")
    if taken.dtype == np.float32:
        return taken
    floats: FloatArray = scratch.array(name, shape)
    floats[:] = taken
    return floats


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
