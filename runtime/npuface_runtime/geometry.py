"""Where a face lies in the frame, and the way from frame to network and back.

Every coordinate here has x to the right, y down and pixel centres at integers, so a picture
W pixels wide spans x = -0.5 .. W - 0.5. The way back is equations (13) and (14) of the patent
that NPUFace implements, written for a crop that may be turned.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float32]
Shape = tuple[int, int]
"""Height and width in pixels."""


@dataclass(frozen=True)
class Crop:
    """A square region of a frame, scaled so that its side becomes the shorter side of the network input.

    Every scale is the same across and down: an input that is not square shows more of the frame along its longer side.

    Attributes:
        x, y: its centre in frame pixels.
        side: its side in frame pixels, > 0.
        angle: its rotation in radians, from the frame's x axis towards y.
    """

    x: float
    y: float
    side: float
    angle: float = 0.0

    def pixel(self, shape: Shape) -> float:
        """Frame pixels a pixel of a network input of that shape."""
        return self.side / min(shape)

    def matrix(self, shape: Shape) -> NDArray[np.float64]:
        """The affine map [2, 3] from frame pixels to the pixels of a network input of that shape."""
        scale = 1 / self.pixel(shape)
        c, s = np.cos(self.angle) * scale, np.sin(self.angle) * scale
        across, down = _middle(shape)
        return np.array([[c, s, across - c * self.x - s * self.y], [-s, c, down + s * self.x - c * self.y]])

    def to_input(self, points: NDArray[np.floating], shape: Shape) -> FloatArray:
        """Frame points [K, 2] -> points [K, 2] in the network input."""
        m = self.matrix(shape)
        return np.asarray(points @ m[:, :2].T + m[:, 2], np.float32)

    def to_frame(self, points: NDArray[np.floating], shape: Shape) -> FloatArray:
        """Network-input points [K, 2] -> points [K, 2] in the frame (patent, equations 13 and 14)."""
        c, s = np.cos(self.angle), np.sin(self.angle)
        centred = (points.astype(np.float64) - _middle(shape)) * self.pixel(shape)
        return np.asarray(centred @ np.array([[c, s], [-s, c]]) + (self.x, self.y), np.float32)


def _middle(shape: Shape) -> tuple[float, float]:
    """x and y of the middle of a network input."""
    return (shape[1] - 1) / 2, (shape[0] - 1) / 2


def crop_of_box(box: NDArray[np.floating] | tuple[float, float, float, float], margin: float) -> Crop:
    """The square crop around a box (x0, y0, x1, y1 in frame pixels): its longer side times `margin`."""
    x0, y0, x1, y1 = (float(v) for v in box)
    return Crop((x0 + x1) / 2, (y0 + y1) / 2, max(x1 - x0, y1 - y0, 1.0) * margin)


def box_of_points(points: NDArray[np.floating]) -> FloatArray:
    """The tight box [x0, y0, x1, y1] of points [K, 2]."""
    return np.concatenate([points.min(axis=0), points.max(axis=0)]).astype(np.float32)
