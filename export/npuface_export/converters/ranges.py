"""Ranges of activations: all that was seen on the calibration pictures, or the part that 8 bits hold best.

The largest activation of a hundred pictures is rare, and a range that reaches it makes every step of the others
coarser. So each tensor of the body gets the range with the least expected squared error: what is lost outside it
(clipping) plus step^2 / 12 inside it (rounding). The search is that of TensorRT and NNCF, with the squared error for
the divergence.

It looks no further than three of four pictures reach: the third quartile of the ends of each. A network may
answer one crop that is like none it was trained on with activations twenty times as large; its squared error would
outweigh a hundred others', and the range would be its alone. (NNCF takes the mean of the pictures' ends.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]
"""Smallest and largest value; zero is always among them."""

_SAMPLES = 2048
"""Values kept of one tensor for one picture, drawn at random: a tensor has up to millions."""
_BINS = 2048
_SHARES = np.linspace(0.3, 1.0, 36)
"""Of either end of the widest range: the ends that are tried."""
_STEPS = 255
_TYPICAL = 0.75
"""Share of the pictures whose range a typical range holds, at either end."""


class Observer:
    """Sees activations picture by picture, and gives their ranges."""

    def __init__(self) -> None:
        self._ends: dict[str, list[Range]] = {}
        self._samples: dict[str, list[NDArray[np.float32]]] = {}
        self._rng = np.random.default_rng(0)

    def see(self, name: str, values: NDArray[np.float32]) -> None:
        """Take note of one activation of one picture, of any shape."""
        self._ends.setdefault(name, []).append((min(0.0, float(values.min())), max(0.0, float(values.max()))))
        flat = values.reshape(-1)
        if flat.size > _SAMPLES:
            flat = flat[self._rng.integers(flat.size, size=_SAMPLES)]
        self._samples.setdefault(name, []).append(flat.copy())

    def ranges(self, whole: Iterable[str] = ()) -> dict[str, Range]:
        """The range of every activation: everything that was seen for those in `whole`, the best for the others."""
        kept = set(whole)
        return {
            name: seen(ends) if name in kept else best_range(np.concatenate(self._samples[name]), typical(ends))
            for name, ends in self._ends.items()
        }


def seen(ends: Sequence[Range]) -> Range:
    """The range that holds the ranges of all pictures."""
    lows, highs = zip(*ends, strict=True)
    return min(lows), max(highs)


def typical(ends: Sequence[Range]) -> Range:
    """The range that three of four pictures keep at either end; all of it where they have zeros only."""
    lows, highs = np.transpose(ends)
    low, high = float(np.quantile(lows, 1 - _TYPICAL)), float(np.quantile(highs, _TYPICAL))
    return (low, high) if high > low else seen(ends)


def best_range(samples: NDArray[np.float32], widest: Range) -> Range:
    """The range in which 256 steps represent the samples with the least mean squared error.

    Args:
        samples: of any number; those outside the widest range count as its ends.
        widest: zero included; the result lies within.
    """
    low, high = widest
    if not high > low:
        return widest
    counts, edges = np.histogram(samples.clip(low, high), _BINS, widest)
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
