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


def marginal_threshold(maps: NDArray[np.float32], background: float, threshold: float) -> Float64:
    """Marginals of what rises above the background, each cut at a share of its maximum; [1, K, H, W] -> [K, 2]."""
    weights = np.clip(maps[0].astype(np.float64) - background, 0, None)
    points = []
    for plane in weights:
        cut = [np.clip(m - threshold * m.max(), 0, None) for m in (plane.sum(axis=0), plane.sum(axis=1))]
        points.append([np.average(np.arange(len(m)), weights=m) for m in cut])
    return np.array(points)


def windowed(maps: NDArray[np.float32], threshold: float, window: int) -> Float64:
    """The relative threshold, then of either marginal only what stands near its highest; [1, K, H, W] -> [K, 2]."""
    h = maps[0].astype(np.float64)
    points = []
    for plane in np.clip(h - threshold * h.max(axis=(1, 2), keepdims=True), 0, None):
        point = []
        for m in (plane.sum(axis=0), plane.sum(axis=1)):
            near = range(max(0, m.argmax() - window), min(len(m), m.argmax() + window + 1))
            point.append(sum(i * m[i] for i in near) / sum(m[i] for i in near))
        points.append(point)
    return np.array(points)


def cell_and_offset(maps: NDArray[np.float32], threshold: float) -> Float64:
    """Mean of cell + offset under the relative threshold; [1, 3K, H, W] (heatmaps, x, y offsets) -> [K, 2]."""
    h, x, y = np.split(maps[0].astype(np.float64), 3)
    rows, columns = np.indices(h.shape[1:])
    weights = np.clip(h - threshold * h.max(axis=(1, 2), keepdims=True), 0, None)
    return np.array(
        [
            (np.average(columns + a, weights=plane), np.average(rows + b, weights=plane))
            for plane, a, b in zip(weights, x, y, strict=True)
        ]
    )


def highest_cell_and_offset(maps: NDArray[np.float32]) -> Float64:
    """The highest cell and the offset there; [1, 3K, H, W] (heatmaps, x, y offsets) -> [K, 2]."""
    points = []
    for plane, x, y in zip(*np.split(maps[0].astype(np.float64), 3), strict=True):
        row, column = np.unravel_index(plane.argmax(), plane.shape)
        points.append((column + x[row, column], row + y[row, column]))
    return np.array(points)


def classifiers(logits: NDArray[np.float32], width: int, beta: float) -> Float64:
    """Mean column and row under the softmax of each; [1, K, 1, W + H] -> [K, 2]."""
    points = []
    for both in logits[0, :, 0].astype(np.float64):
        axes = (np.exp(beta * (axis - axis.max())) for axis in (both[:width], both[width:]))
        points.append([np.average(np.arange(len(weights)), weights=weights) for weights in axes])
    return np.array(points)


def _mean_cell(weights: Float64) -> Float64:
    points = []
    for plane in weights:
        rows, columns = np.indices(plane.shape)
        points.append(((columns * plane).sum() / plane.sum(), (rows * plane).sum() / plane.sum()))
    return np.array(points)
