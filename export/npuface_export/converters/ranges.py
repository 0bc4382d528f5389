"""Ranges of activations: all that was seen on the calibration pictures, or the part that 8 bits hold best.

The largest activation of a hundred pictures is rare, and a range that reaches it makes every step of the others
coarser. So each tensor of the body gets the range with the least expected squared error: what is lost outside it
(clipping) plus step^2 / 12 inside it (rounding). The search is that of TensorRT and NNCF, with the squared error for
the divergence.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
"""Smallest and largest value; zero is always among them."""

_SAMPLES = 2048
"""Values kept of one tensor for one picture, drawn at random: a tensor has up to millions."""
_BINS = 2048
_SHARES = np.linspace(0.3, 1.0, 36)
"""Of either end of what was seen: the ends that are tried."""
_STEPS = 255


class Observer:
    """Sees activations picture by picture, and gives their ranges."""

    def __init__(self) -> None:
        self._seen: dict[str, Range] = {}
        self._samples: dict[str, list[NDArray[np.float32]]] = {}
        self._rng = np.random.default_rng(0)

    def see(self, name: str, values: NDArray[np.float32]) -> None:
        """Take note of one activation of one picture, of any shape."""
        low, high = self._seen.get(name, (0.0, 0.0))
        self._seen[name] = (min(low, float(values.min())), max(high, float(values.max())))
        flat = values.reshape(-1)
        if flat.size > _SAMPLES:
            flat = flat[self._rng.integers(flat.size, size=_SAMPLES)]
        self._samples.setdefault(name, []).append(flat.copy())

    def ranges(self, whole: Iterable[str] = ()) -> dict[str, Range]:
        """The range of every activation: everything that was seen for those in `whole`, the best for the others."""
        kept = set(whole)
        return {
            name: seen if name in kept else best_range(np.concatenate(self._samples[name]), seen)
            for name, seen in self._seen.items()
        }


def best_range(samples: NDArray[np.float32], seen: Range) -> Range:
    """The range in which 256 steps represent the samples with the least mean squared error.

    Args:
        samples: of any number.
        seen: smallest and largest value of all, zero included; the result lies within.
    """
    low, high = seen
    if not high > low:
        return seen
    counts, edges = np.histogram(samples, _BINS, seen)
    centres = (edges[1:] + edges[:-1]) / 2
    lows = low * _SHARES if low < 0 else np.zeros(1)
    highs = high * _SHARES if high > 0 else np.zeros(1)
    below = np.array([np.sum(counts * np.minimum(centres - end, 0) ** 2) for end in lows])
    above = np.array([np.sum(counts * np.maximum(centres - end, 0) ** 2) for end in highs])
    steps = (highs[None, :] - lows[:, None]) / _STEPS
    errors = below[:, None] + above[None, :] + counts.sum() * steps**2 / 12
    i, j = np.unravel_index(int(np.argmin(errors)), errors.shape)
    return float(lows[i]), float(highs[j])


def mirrored(ranges: Mapping[str, Range], names: Iterable[str], factor: float) -> dict[str, Range]:
    """One symmetric range for all of the named: the largest magnitude among them, times a factor."""
    listed = list(names)
    bound = factor * max((max(-ranges[name][0], ranges[name][1]) for name in listed), default=0.0)
    return dict.fromkeys(listed, (-bound, bound))
