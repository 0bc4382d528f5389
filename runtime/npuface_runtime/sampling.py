"""Cutting a face out of a frame: bilinear, anti-aliased, in numpy alone."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.frames import check_rgb
from npuface_runtime.geometry import Crop, Shape
from npuface_runtime.scratch import Scratch

FloatArray = NDArray[np.float32]
_MAX_SIDES = 16
"""A crop this many times the frame's longer side holds no face, and would only be black."""
_LEAST = 4
"""Blocks along an axis, however small the crop: those of its outermost pixels, and one beyond each."""


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
        UserError: the frame is of another kind, or the crop is not finite, has no extent, or is many times larger
            than the frame.
    """
    check_rgb(frame)
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
    down, across = _axes(crop, frame.shape[:2], shape, block)
    small = (_means if block > 1 else _pixels)(frame, down, across, scratch)
    inside = Crop(
        (crop.x - across.origin + 0.5) / block - 0.5,
        (crop.y - down.origin + 0.5) / block - 0.5,
        crop.side / block,
        crop.angle,
    )
    return (_upright if crop.angle == 0 else _turned)(small, inside, shape, (down.first, across.first), scratch)


class _Axis(NamedTuple):
    """The blocks of pixels that a crop reads along one axis of a frame, as far as they are kept.

    Attributes:
        origin: the pixel at which block 0 begins.
        first, kept: the first block that is kept, and how many are.
        block: pixels in each.
        size: pixels of the frame along this axis.
    """

    origin: int
    first: int
    kept: int
    block: int
    size: int

    def of_frame(self, k: int) -> tuple[slice, slice]:
        """The kept blocks whose k-th pixel lies in the frame, and these pixels."""
        start = self.origin + self.first * self.block + k
        begin = max(0, -(start // self.block))
        end = max(begin, min(self.kept, -((start - self.size) // self.block)))
        return slice(begin, end), slice(start + begin * self.block, start + end * self.block, self.block)


def _axes(crop: Crop, frame: Shape, shape: Shape, block: int) -> tuple[_Axis, _Axis]:
    """The blocks that bilinear sampling touches, down and across a frame.

    Of those beside the frame only two on each side are kept: they are black, and the others look like them.
    """
    down, across = ((n - 1) * crop.pixel(shape) / 2 for n in shape)
    c, s = abs(np.cos(crop.angle)), abs(np.sin(crop.angle))
    axes = []
    for centre, reach, size in ((crop.y, across * s + down * c, frame[0]), (crop.x, across * c + down * s, frame[1])):
        origin = int(np.floor(centre - reach)) - block
        count = int(2 * reach / block) + _LEAST
        first = min(max(0, -origin // block - 2), count - _LEAST)
        last = max(min(count, 2 - (origin - size) // block), first + _LEAST)
        axes.append(_Axis(origin, first, last - first, block, size))
    return axes[0], axes[1]


def _pixels(frame: NDArray[np.uint8], down: _Axis, across: _Axis, scratch: Scratch) -> NDArray[np.uint8]:
    """The kept pixels [down, across, 3] where a block is one pixel; black where they leave the frame."""
    region = scratch.array("region", (down.kept, across.kept, 3), np.uint8)
    (rows, y), (columns, x) = down.of_frame(0), across.of_frame(0)
    if (rows, columns) != (slice(0, down.kept), slice(0, across.kept)):
        region.fill(0)
    region[rows, columns] = frame[y, x]
    return region


def _means(frame: NDArray[np.uint8], down: _Axis, across: _Axis, scratch: Scratch) -> FloatArray:
    """The means of the kept blocks [down, across, 3]; black counts where they leave the frame."""
    block, height, width = down.block, down.kept, across.kept
    left = across.origin + across.first * block
    x0, x1 = (min(max(x, 0), across.size) for x in (left, left + width * block))
    rows = scratch.array("rows", (height, width * block, 3), np.uint16 if block <= 257 else np.uint32)
    rows.fill(0)
    for k in range(block):
        blocks, pixels = down.of_frame(k)
        rows[blocks, x0 - left : x1 - left] += frame[pixels, x0:x1]
    cells = rows.reshape(height, width, block, 3)
    total: FloatArray = scratch.array("blocks", (height, width, 3))
    total[:] = cells[:, :, 0]
    for k in range(1, block):
        total += cells[:, :, k]
    total *= np.float32(1 / block**2)
    return total


def _upright(
    picture: NDArray[np.uint8] | FloatArray, crop: Crop, shape: Shape, first: tuple[int, int], scratch: Scratch
) -> FloatArray:
    """Bilinear sampling without rotation: first along the rows, then along the columns.

    The picture begins at the row and the column `first` of the coordinates of the crop.
    """
    rows, columns = ((np.arange(n) - (n - 1) / 2) * crop.pixel(shape) for n in shape)
    column, across = _split(crop.x + columns)
    row, down = _split(crop.y + rows)
    for index, begin, count in ((row, first[0], picture.shape[0]), (column, first[1], picture.shape[1])):
        np.clip(index - begin, 0, count - 2, out=index)
    above = _take(picture, row, 0, "above", scratch)
    blended = _blend(above, _take(picture, row + 1, 0, "below", scratch), down[:, None, None])
    left = _take(blended, column, 1, "left", scratch)
    return _blend(left, _take(blended, column + 1, 1, "right", scratch), across[:, None])


def _turned(
    picture: NDArray[np.uint8] | FloatArray, crop: Crop, shape: Shape, first: tuple[int, int], scratch: Scratch
) -> FloatArray:
    """Bilinear sampling at any angle, four neighbours a pixel. See _upright for `first`."""
    c, s = (turn(crop.angle) * crop.pixel(shape) for turn in (np.cos, np.sin))
    v, u = (np.arange(n) - (n - 1) / 2 for n in shape)
    across = _sums(crop.x - s * v, c * u, scratch.array("across", shape))
    down = _sums(crop.y + c * v, s * u, scratch.array("down", shape))
    row, index = (scratch.array(name, shape, np.intp) for name in ("row", "index"))
    before = scratch.array("before", shape)
    for position, pixel, begin, count in zip((down, across), (row, index), first, picture.shape, strict=False):
        np.floor(position, out=before)
        position -= before
        np.copyto(pixel, before, casting="unsafe")
        pixel -= begin
        np.clip(pixel, 0, count - 2, out=pixel)
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
