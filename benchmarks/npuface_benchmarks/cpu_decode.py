"""The decode on the CPU, in numpy: what a camera does today with the heatmaps that its NPU hands it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.finish import finish_decode
from npuface_runtime.manifest import Manifest, TensorInfo

_HALVES = {"heatmap-offset": "heatmap-offset", "simcc": "classifiers"}
"""By what a network draws (HeatmapInfo.kind): the host half that decodes all of it. Heatmaps have SoftArgmax."""


def cpu_decode(manifest: Manifest, info: TensorInfo, beta: float) -> Callable[[NDArray[Any]], NDArray[np.float32]]:
    """The decode of a network that ends at its heatmaps, by their kind.

    Heatmaps with offsets give the highest cell and the offset there, classifiers the softmax of each.

    Args:
        manifest: of the bundle.
        info: what leaves the shortened network (see ModelFiles.heatmap).
        beta: inverse temperature of the softmax, for real values.

    Returns:
        What takes that tensor as it left the network, and gives points [K, 2] (x, y) in pixels of the network input.
    """
    maps = manifest.heatmap
    if maps.kind == "heatmaps":
        softargmax = SoftArgmax(info, (manifest.landmarks.points, maps.height, maps.width), beta)
        return lambda stored: maps.to_pixels(softargmax(stored))
    decode = replace(manifest.decode, finish=_HALVES[maps.kind], params={"beta": beta})
    shortened = replace(manifest, outputs=(info,), decode=decode)
    return lambda stored: finish_decode(shortened, [stored])[0]


class SoftArgmax:
    """Heatmaps -> the mean cell under softmax(beta h), in float32, where they lie: no copy, no transpose.

    Made as fast as numpy allows, for a comparison is worth what its other side is worth: quantized maps
    are taken from their maximum as integers and scaled once, buffers are kept, and one matrix product
    gives the mass and both moments.
    """

    def __init__(self, info: TensorInfo, heatmap: tuple[int, int, int], beta: float) -> None:
        """Make the buffers.

        Args:
            info: the heatmap tensor: [1, K, H, W] for NCHW, [1, H, W, K] for NHWC; float32, or integers of 8
                or 16 bits with a scale.
            heatmap: K, H, W.
            beta: inverse temperature, for real heatmap values.
        """
        points, height, width = heatmap
        self._is_nchw = info.layout == "NCHW"
        self._shape = (points, height * width) if self._is_nchw else (height * width, points)
        self._slope = np.float32(beta * (info.scale or 1.0))
        self._weights = np.empty(self._shape, np.float32)
        self._is_integer = info.scale is not None
        self._below = np.empty(self._shape, f"u{np.dtype(info.dtype).itemsize}")
        y, x = np.mgrid[:height, :width].reshape(2, -1).astype(np.float32)
        moments = np.stack([np.ones_like(x), x, y])
        self._moments = np.ascontiguousarray(moments.T) if self._is_nchw else moments

    def __call__(self, stored: NDArray[Any]) -> NDArray[np.float32]:
        """Heatmaps as they left the network -> points [K, 2] (x, y) in cells."""
        maps, weights = stored.reshape(self._shape), self._weights
        peak = maps.max(axis=1 if self._is_nchw else 0, keepdims=True)
        if self._is_integer:
            unsigned = self._below.dtype
            np.subtract(peak.view(unsigned), maps.view(unsigned), out=self._below)
            np.multiply(self._below, -self._slope, out=weights)
        else:
            np.subtract(maps, peak, out=weights)
            np.multiply(weights, self._slope, out=weights)
        np.exp(weights, out=weights)
        mass, x, y = (weights @ self._moments).T if self._is_nchw else self._moments @ weights
        return np.stack([x / mass, y / mass], axis=1)
