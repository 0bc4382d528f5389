"""The decodes once more, in float64 numpy, written from their formulas and not from the project's code."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Float64 = NDArray[np.float64]


def gaussian_maps(
    peaks: Float64, height: int, width: int, sigma: float, noise: float, seed: int
) -> NDArray[np.float32]:
    """Heatmaps [1, K, H, W]: one Gaussian of height 1 at each peak (x, y) in cells, with noise all over."""
    rng = np.random.default_rng(seed)
    x, y = np.meshgrid(np.arange(width), np.arange(height))
    maps = [np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)) for px, py in peaks]
    return (np.stack(maps)[None] + rng.uniform(-noise, noise, (1, len(peaks), height, width))).astype(np.float32)


def softargmax(maps: NDArray[np.float32], beta: float) -> Float64:
    """Equations (7) to (12): the mean cell under softmax(beta h); [1, K, H, W] -> [K, 2]."""
    weights = np.exp(beta * (maps[0].astype(np.float64) - maps[0].max(axis=(1, 2), keepdims=True)))
    return _mean_cell(weights)


def relative_threshold(maps: NDArray[np.float32], threshold: float) -> Float64:
    """The centre of mass of what rises above a share of each map's maximum; [1, K, H, W] -> [K, 2]."""
    h = maps[0].astype(np.float64)
    return _mean_cell(np.clip(h - threshold * h.max(axis=(1, 2), keepdims=True), 0, None))


def static_threshold(maps: NDArray[np.float32], threshold: float) -> Float64:
    """The centre of mass of what rises above a fixed level; [1, K, H, W] -> [K, 2]."""
    return _mean_cell(np.clip(maps[0].astype(np.float64) - threshold, 0, None))


def _mean_cell(weights: Float64) -> Float64:
    points = []
    for plane in weights:
        rows, columns = np.indices(plane.shape)
        points.append(((columns * plane).sum() / plane.sum(), (rows * plane).sum() / plane.sum()))
    return np.array(points)
