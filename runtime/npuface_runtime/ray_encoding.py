"""The host half of a renderer: a pose of the camera -> the one tensor that enters the network.

Angles in degrees, all zero is the frontal view: positive yaw moves the camera to the right of the picture, positive
pitch up, positive roll turns it counter-clockwise. With n x n rays, row by row from the top left corner:

    u = (2 (column + 0.5) / n - 1) tan_half        v = (1 - 2 (row + 0.5) / n) tan_half
    direction = rotation (u, v, -1) / |(u, v, -1)|  origin = rotation (0, 0, distance)
    encode(p)[6 k + 0..2] = sin(2^k pi/2 p)         encode(p)[6 k + 3..5] = cos(2^k pi/2 p)

Every value of that tensor lies in [-1, 1], but for rounding: in INT8 it has one scale, and sines never run on the NPU.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError

Array = NDArray[np.float32]
KINDS = ("field", "light-field")
CODE_RANGE = 4.0
"""Codes are drawn from N(0, 1) and enter divided by this, so that they share the scale of the encodings. One beyond
it has no place in the range that INT8 has for it."""
_MAX = {"grid": 256, "samples": 256, "point_frequencies": 10, "direction_frequencies": 10, "shape_codes": 1024}
_FARTHEST = 1000.0
BLOCK = 16
SHUFFLE = 4
"""Side of the blocks of pixels in which a picture leaves the network."""


@dataclass(frozen=True)
class RendererRecord:
    """What a manifest says of a renderer.

    Attributes:
        kind: "field", whose network marches along samples of rays, or "light-field", which sees whole rays.
        grid: rays a side.
        samples: points on a ray.
        size: side of the picture in pixels.
        distance: from the camera to the middle of the head, in half sides of the box [-1, 1]^3 around it.
        tan_half: tangent of half the field of view.
        point_frequencies, direction_frequencies: octaves of the encodings.
        max_yaw, max_pitch, max_roll: degrees to either side that the networks were trained and compared on.
        shape_codes, appearance_codes: lengths of the codes that enter; 0 where one identity is baked in.
        view_in_rows: how the encoded view enters a field (see input_shape).
    """

    kind: str
    grid: int
    samples: int
    size: int
    distance: float
    tan_half: float
    point_frequencies: int
    direction_frequencies: int
    max_yaw: float
    max_pitch: float
    max_roll: float
    shape_codes: int = 0
    appearance_codes: int = 0
    view_in_rows: bool = False

    @property
    def takes_codes(self) -> bool:
        """Whether the identity enters with every picture."""
        return self.shape_codes > 0

    @property
    def first_of_view(self) -> int:
        """The channel of a field's input at which the encoded view begins."""
        behind_mask = 6 * self.point_frequencies + 1
        return behind_mask if self.view_in_rows else _blocks(behind_mask)

    @property
    def view_channels(self) -> int:
        """How many channels of a field's input the encoded view takes."""
        numbers = 6 * self.direction_frequencies
        return -(-numbers // self.samples) if self.view_in_rows else numbers

    @property
    def input_shape(self) -> tuple[int, int, int, int]:
        """Shape of the network's input, NCHW.

        A field: rows 0..S-1 are the encoded samples, with the mask as channel 6L. The view, which all samples of a ray
        share, begins at channel `first_of_view`: a channel for each of its numbers, in row 0, or with `view_in_rows`
        its numbers along the rows, S of them a channel. Row S holds the codes where they enter, one in each of its
        first columns. What they do not fill is zero: they come in whole blocks of 16 channels, for kernels that compute
        in such blocks.
        A light field: the grid of rays, of each the encodings of its points one after another.
        """
        rays, channels = self.grid**2, 6 * self.point_frequencies
        if self.kind == "light-field":
            return (1, channels * self.samples, self.grid, self.grid)
        used = self.first_of_view + self.view_channels
        return (1, _blocks(max(used, self.shape_codes, self.appearance_codes)), self.samples + self.takes_codes, rays)

    @property
    def output_shape(self) -> tuple[int, int, int, int]:
        """Shape of the network's output, NCHW: for each block of 4 x 4 pixels a cell, whose channels are ordered by row
        in the block, column in the block, colour (R, G, B in 0..1).
        """
        return (1, 3 * SHUFFLE**2, self.size // SHUFFLE, self.size // SHUFFLE)


def _blocks(channels: int) -> int:
    """So many channels, and what is missing to whole blocks."""
    return -(-channels // BLOCK) * BLOCK


def wrong_renderer(record: RendererRecord) -> str | None:
    """Why a record cannot be used, before anything is allocated by its numbers; None if it can."""
    if record.kind not in KINDS:
        return f"its renderer is of kind {record.kind!r}, not one of {', '.join(KINDS)}"
    for name, largest in _MAX.items():
        least = 0 if name == "shape_codes" else 1
        if not least <= getattr(record, name) <= largest:
            return f"its renderer's {name} is {getattr(record, name)}, not {least} to {largest}"
    if (record.appearance_codes > 0) != record.takes_codes or record.appearance_codes > _MAX["shape_codes"]:
        return "one of its renderer's codes enters without the other"
    if record.grid == 1:
        return "its renderer has one ray"
    if not (1 < record.distance <= _FARTHEST and 0 < record.tan_half < 2):
        return f"its renderer's camera is {record.distance} away with a tangent of {record.tan_half}"
    if not all(0 <= limit <= 180 for limit in (record.max_yaw, record.max_pitch, record.max_roll)):
        return "its renderer's pose limits are not within 0 to 180 degrees"
    return None


def check_pose(record: RendererRecord, yaw: float, pitch: float, roll: float) -> None:
    """Refuse a pose that the renderer was not made for.

    Raises:
        UserError: an angle is not finite or beyond the record's limits.
    """
    limits = (("yaw", yaw, record.max_yaw), ("pitch", pitch, record.max_pitch), ("roll", roll, record.max_roll))
    for name, angle, limit in limits:
        if not math.isfinite(angle):
            raise UserError(f"cannot render at {name} {angle}", "it is no finite number", "give degrees")
        if abs(angle) > limit:
            why = f"this renderer was made for {-limit:g} to {limit:g} degrees"
            raise UserError(f"cannot render at {name} {angle:g}", why, f"give a {name} within them")


def rotation(yaw: float, pitch: float, roll: float) -> Array:
    """Ry(yaw) Rx(-pitch) Rz(roll) [3, 3], degrees: columns are the camera's axes in the world.

    It is multiplied out: three small matrices take numpy longer than the cast of all rays.
    """
    y, p, r = math.radians(yaw), math.radians(pitch), math.radians(roll)
    cy, sy, cp, sp, cr, sr = math.cos(y), math.sin(y), math.cos(p), math.sin(p), math.cos(r), math.sin(r)
    return np.array(
        [
            [cy * cr - sy * sp * sr, -cy * sr - sy * sp * cr, sy * cp],
            [cp * sr, cp * cr, sp],
            [-sy * cr - cy * sp * sr, sy * sr - cy * sp * cr, cy * cp],
        ],
        np.float32,
    )


def encode(points: Array, made: Array) -> None:
    """Positional encoding of points [3, ...] into `made` [6 L, ...], float32 (NeRF, equation 4).

    Each octave is the one before at twice the angle: sin 2a = 2 sin a cos a, cos 2a = 1 - 2 sin^2 a, which is faster
    than sines. An error about doubles with each: 5e-6 at the fifth octave, where sines of angles rounded to float32 are
    3e-6 off themselves; 6e-4 at the tenth, 1e-4 with sines.
    """
    angle = points * np.float32(math.pi / 2)
    np.sin(angle, out=made[:3])
    np.cos(angle, out=made[3:6])
    twice = np.empty_like(angle)
    for first in range(6, len(made), 6):
        before, sine, cosine = made[first - 6 : first - 3], made[first : first + 3], made[first + 3 : first + 6]
        np.multiply(before, 2, out=twice)
        np.multiply(twice, made[first - 3 : first], out=sine)
        np.multiply(twice, before, out=cosine)
        np.subtract(1, cosine, out=cosine)


def cast(record: RendererRecord, turned: Array) -> tuple[Array, Array]:
    """Samples [3, S, R] and unit directions [3, R] of the rays of a camera with that rotation, in the world."""
    world = turned @ _in_camera(record.grid, record.samples, record.distance, record.tan_half)
    rays = record.grid**2
    return world[:, :-rays].reshape(3, record.samples, rays), world[:, -rays:]


def network_input(
    record: RendererRecord,
    pose: tuple[float, float, float],
    codes: tuple[Array, Array] | None = None,
    buffer: Array | None = None,
) -> Array:
    """The float32 input of the network, NCHW (see RendererRecord.input_shape).

    Args:
        record: of a checked manifest.
        pose: yaw, pitch and roll in degrees.
        codes: Zs and Za, where the record takes them.
        buffer: an earlier input of the same record, to be written over; without it a new one is made.

    Raises:
        UserError: the pose is out of range, or the codes are missing, of another length, not finite or out of range.
    """
    check_pose(record, *pose)
    _check_codes(record, codes)
    points, rays = cast(record, rotation(*pose))
    samples, channels = record.samples, 6 * record.point_frequencies
    entered = np.zeros(record.input_shape, np.float32) if buffer is None else buffer
    if record.kind == "light-field":  # the points of a ray one after another
        encode(points, entered.reshape(samples, channels, -1).transpose(1, 0, 2))
        return entered
    encode(points, entered[0, :channels, :samples])
    np.less_equal(np.maximum.reduce(np.abs(points)), 1, out=entered[0, channels, :samples], casting="unsafe")
    view = np.empty((6 * record.direction_frequencies, rays.shape[1]), np.float32)
    encode(rays, view)
    rows = samples if record.view_in_rows else 1
    for channel in range(record.view_channels):
        part = view[channel * rows : (channel + 1) * rows]
        entered[0, record.first_of_view + channel, : len(part)] = part
    for column, code in enumerate(codes or ()):
        entered[0, : len(code), samples, column] = code / CODE_RANGE
    return entered


def _check_codes(record: RendererRecord, codes: tuple[Array, Array] | None) -> None:
    wanted = (record.shape_codes, record.appearance_codes)
    if not record.takes_codes:
        if codes is not None:
            raise UserError("cannot give this renderer codes", "one identity is baked into it", "leave the codes out")
        return
    found = tuple(code.shape for code in codes) if codes is not None else None
    if codes is None or found != tuple((length,) for length in wanted):
        raise UserError(
            "cannot render with these codes",
            f"their shapes are {found}, this renderer takes {wanted[0]} of shape and {wanted[1]} of appearance",
            "give both codes as vectors of these lengths",
        )
    if not all(np.isfinite(code).all() for code in codes):
        raise UserError("cannot render with these codes", "they are not all finite", "give numbers drawn from N(0, 1)")
    largest = max(float(np.abs(code).max()) for code in codes)
    if largest > CODE_RANGE:
        why = f"one is {largest:.1f} in size, the network takes -{CODE_RANGE:g} to {CODE_RANGE:g}"
        raise UserError("cannot render with these codes", why, "clip them to that range, or give others")


@lru_cache(maxsize=8)
def _in_camera(grid: int, samples: int, distance: float, tan_half: float) -> Array:
    """Samples and, behind them, unit directions of the rays of a camera that is not turned [3, (S + 1) R]: a rotation
    turns both about the middle of the head."""
    uv = _plane(grid) * tan_half
    rays = np.concatenate([uv, -np.ones((1, uv.shape[1]))])
    rays /= np.linalg.norm(rays, axis=0)
    depths = distance - 1 + (np.arange(samples) + 0.5) * (2.0 / samples)
    points = depths[:, None] * rays[:, None]
    points[2] += distance
    return np.concatenate([points.reshape(3, -1), rays], 1).astype(np.float32)


def _plane(grid: int) -> Array:
    """The rays' places in the picture, x right and y up in (-1, 1) [2, grid^2]."""
    line = ((2 * np.arange(grid) + 1) / grid - 1).astype(np.float32)
    return np.stack([np.tile(line, grid), -np.repeat(line, grid)])
