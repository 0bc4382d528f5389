"""The one-euro filter: landmarks that hold still on a still face and do not lag on a moving one.

Casiez, Roussel and Vogel: 1 EUR Filter: A Simple Speed-based Low-pass Filter for Noisy Input in Interactive Systems.
CHI 2012, https://doi.org/10.1145/2207676.2208639
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.checks import number_of, why_wrong
from npuface_runtime.errors import UserError

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Smoothing:
    """How landmarks are smoothed. Speeds are in face sides a second, so that near and far faces are smoothed alike.

    Attributes:
        min_cutoff: cutoff frequency of a landmark at rest, in Hz; lower holds it stiller.
        beta: how much a moving landmark raises the cutoff, in Hz for each face side a second; higher lags less.
        speed_cutoff: cutoff frequency of the speed itself, in Hz.
    """

    min_cutoff: float = 1.0
    beta: float = 80.0
    speed_cutoff: float = 2.0

    def __post_init__(self) -> None:
        """Raises UserError where a number is out of range or none."""
        for name, lowest in (("min_cutoff", 1e-6), ("beta", 0.0), ("speed_cutoff", 1e-6)):
            value = getattr(self, name)
            if not lowest <= number_of(value) < math.inf:
                what = f"cannot smooth with {name} {value!r}"
                raise UserError(what, why_wrong(value), "see Smoothing for its unit")


class OneEuro:
    """The filter of one face's landmarks."""

    def __init__(self, smoothing: Smoothing) -> None:
        self._how = smoothing
        self._points: Floats | None = None
        self._speed: Floats | None = None
        self._time = 0.0

    def smooth(self, points: NDArray[np.floating], time: float, side: float) -> NDArray[np.float32]:
        """Landmarks [K, 2] in frame pixels -> the same, smoothed.

        Args:
            points: as the network found them.
            time: in seconds. The first call, and one whose time is not after the last, starts anew.
            side: the face's size in pixels, the unit of its speed.
        """
        now = points.astype(np.float64)
        elapsed = time - self._time
        if self._points is None or self._speed is None or not elapsed > 0:
            self._points, self._speed = now, np.zeros_like(now)
        else:
            speed = (now - self._points) / (elapsed * side)
            self._speed = self._speed + _share(self._how.speed_cutoff, elapsed) * (speed - self._speed)
            cutoff = self._how.min_cutoff + self._how.beta * np.linalg.norm(self._speed, axis=1, keepdims=True)
            self._points = self._points + _share(cutoff, elapsed) * (now - self._points)
        self._time = time
        return self._points.astype(np.float32)


def _share(cutoff: float | Floats, elapsed: float) -> Floats:
    """How much of a new value passes a low-pass filter of that cutoff (Hz) after `elapsed` seconds."""
    turns = 2 * np.pi * np.asarray(cutoff) * elapsed
    return turns / (turns + 1)
