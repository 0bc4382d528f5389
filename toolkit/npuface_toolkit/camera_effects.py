"""What light, lens, sensor and coding do to a picture, in the order in which a camera does it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_Floats = NDArray[np.float32]


@dataclass(frozen=True)
class CameraEffects:
    """How often and how strongly.

    Attributes:
        colour: relative change of brightness, contrast and each channel, drawn uniformly from +- the value.
        gamma: change of the exponent's logarithm, drawn uniformly from +- the value.
        grey, blur, motion, low_resolution, noise, jpeg, shade: probability of each.
        most_blur: standard deviation of the widest blur, over the picture's side.
        longest_motion: of a motion's trace, over the picture's side.
        least_resolution: side of the coarsest picture that is scaled up again, over the picture's side.
        most_noise: standard deviation of the strongest noise, in grey levels.
        worst_jpeg: lowest JPEG quality, of 100.
        deepest_shade: share of the light that the darkest shade takes.
    """

    colour: float = 0.25
    gamma: float = 0.25
    grey: float = 0.1
    blur: float = 0.15
    motion: float = 0.1
    low_resolution: float = 0.15
    noise: float = 0.2
    jpeg: float = 0.15
    shade: float = 0.0
    most_blur: float = 1 / 64
    longest_motion: float = 1 / 16
    least_resolution: float = 0.2
    most_noise: float = 20.0
    worst_jpeg: int = 20
    deepest_shade: float = 0.8


def camera_picture(picture: NDArray[np.uint8], how: CameraEffects, rng: np.random.Generator) -> NDArray[np.uint8]:
    """A varied copy of an RGB picture [H, W, 3]; its side is H."""
    out = _light(picture.astype(np.float32), how, rng)
    if how.shade and rng.random() < how.shade:
        out = _shade(out, how.deepest_shade, rng)
    if rng.random() < how.grey:
        out = np.repeat(out.mean(axis=2, keepdims=True), 3, axis=2)
    if rng.random() < how.blur:
        out = _floats(cv2.GaussianBlur(out, (0, 0), rng.uniform(0.5, max(0.6, how.most_blur * len(picture)))))
    if rng.random() < how.motion:
        out = _motion(out, how.longest_motion * len(picture), rng)
    if rng.random() < how.low_resolution:
        out = _low_resolution(out, rng.uniform(how.least_resolution, 0.7))
    if rng.random() < how.noise:
        out = _noise(out, rng.uniform(0, how.most_noise), rng)
    pixels = np.clip(out, 0, 255).astype(np.uint8)
    return _jpeg(pixels, int(rng.integers(how.worst_jpeg, 90))) if rng.random() < how.jpeg else pixels


def _floats(picture: object) -> _Floats:
    return np.asarray(picture, np.float32)


def _light(picture: _Floats, how: CameraEffects, rng: np.random.Generator) -> _Floats:
    """Brightness, contrast, the light's colour, and the sensor's curve."""
    gain = (1 + rng.uniform(-how.colour, how.colour)) * (1 + rng.uniform(-how.colour, how.colour, 3) / 3)
    offset = rng.uniform(-how.colour, how.colour) * 64
    power = float(np.exp(rng.uniform(-how.gamma, how.gamma)))
    curve = (
        np.arange(256) / 255
    ) ** power * 255  # what it does to each level; a power of every pixel takes much longer
    table = curve[:, None] * gain + offset
    levels = picture.astype(np.uint8)
    return _floats(np.stack([table[levels[..., channel], channel] for channel in range(3)], axis=2))


def _shade(picture: _Floats, deepest: float, rng: np.random.Generator) -> _Floats:
    """Light from one side: a shade with a straight edge, anywhere from sharp to as wide as the picture."""
    side = len(picture)
    angle, edge, width = rng.uniform(-np.pi, np.pi), rng.uniform(-0.4, 0.4), rng.uniform(0.02, 0.4)
    across = (np.arange(side) + 0.5) / side - 0.5
    along = across[None] * np.cos(angle) + across[:, None] * np.sin(angle)
    dark = 1 / (1 + np.exp((edge - along) / width * 2))
    return _floats(picture * (1 - rng.uniform(0, deepest) * dark[..., None]))


def _motion(picture: _Floats, longest: float, rng: np.random.Generator) -> _Floats:
    """The trace of a straight motion, in any direction."""
    length = rng.uniform(1, max(1.5, longest))
    angle = rng.uniform(0, np.pi)
    side = 2 * int(np.ceil(length / 2)) + 1
    kernel = np.zeros((side, side), np.float32)
    middle, reach = side // 2, length / 2 * np.array([np.cos(angle), np.sin(angle)])
    ends = [tuple(int(v) for v in np.round((middle + sign * reach) * 16)) for sign in (-1, 1)]
    cv2.line(kernel, ends[0], ends[1], 1.0, 1, cv2.LINE_AA, 4)
    return _floats(cv2.filter2D(picture, -1, kernel / kernel.sum()))


def _low_resolution(picture: _Floats, scale: float) -> _Floats:
    """As from a face that is small in the frame: down by area, up again."""
    height, width = picture.shape[:2]
    small = max(8, round(width * scale)), max(8, round(height * scale))
    shrunk = cv2.resize(picture, small, interpolation=cv2.INTER_AREA)
    return _floats(cv2.resize(shrunk, (width, height), interpolation=cv2.INTER_LINEAR))


def _noise(picture: _Floats, sigma: float, rng: np.random.Generator) -> _Floats:
    """Read-out noise, and shot noise, whose variance grows with the light; half of the variance each at full light."""
    spread = sigma * np.sqrt(0.5 + 0.5 * np.clip(picture, 0, 255) / 255)
    return _floats(picture + rng.standard_normal(picture.shape, np.float32) * spread)


def _jpeg(picture: NDArray[np.uint8], quality: int) -> NDArray[np.uint8]:
    _, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)
