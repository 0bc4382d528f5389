"""Cuts: the frame shows another scene than the one before."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

_CELLS = 16
"""A frame is compared by that many cells across and down."""
_SAMPLES = 3
"""Pixels read across and down in each cell."""
_MIN_CORRELATION = 0.5
_MIN_SPREAD = 2.0
"""Standard deviation of a thumbnail in grey levels, under which nothing is in the picture."""


class SceneWatch:
    """Tells when the scene changes.

    Frames are compared as thumbnails by their correlation, which a lamp, the exposure, or a face that moves
    across the picture leave high, while other pictures have nothing in common.
    """

    def __init__(self) -> None:
        self._last: NDArray[np.float32] | None = None

    def is_cut(self, frame: NDArray[np.uint8]) -> bool:
        """Whether an RGB frame [H, W, 3] is another scene than the frame before; False for the first."""
        seen, before = _thumbnail(frame), self._last
        self._last = seen
        return before is not None and _correlation(before, seen) < _MIN_CORRELATION


def _thumbnail(frame: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean brightness of cells [16, 16], from a sample of the pixels."""
    n = _CELLS * _SAMPLES
    rows, columns = (np.arange(n) * size // n for size in frame.shape[:2])
    sample = frame[rows[:, None], columns].astype(np.float32).mean(axis=2)
    return np.asarray(sample.reshape(_CELLS, _SAMPLES, _CELLS, _SAMPLES).mean(axis=(1, 3)), np.float32)


def _correlation(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """Pearson's correlation; 1 between two empty pictures, 0 where one alone is empty."""
    spread_a, spread_b = float(a.std()), float(b.std())
    if min(spread_a, spread_b) < _MIN_SPREAD:
        return 1.0 if max(spread_a, spread_b) < 2 * _MIN_SPREAD else 0.0
    return float(((a - a.mean()) * (b - b.mean())).mean() / (spread_a * spread_b))
