"""How other people's networks say where the points are, decoded on the CPU as their authors do it.

Each takes the network's outputs (float32, without the batch dimension) and the input's (height, width), and gives
points [K, 2] in pixels of the network's input: x right, y down, pixel centres at integers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Decoder = Callable[[Sequence[Floats], tuple[int, int]], Floats]


def _highest(maps: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of the highest cell of maps [K, H, W]."""
    rows, columns = np.divmod(maps.reshape(len(maps), -1).argmax(axis=1), maps.shape[2])
    return rows, columns


def decode_heatmaps(outputs: Sequence[Floats], shape: tuple[int, int]) -> Floats:
    """Heatmaps [K, H, W]: the highest cell, moved a quarter cell towards the higher neighbour, in x and in y.

    As in Newell et al. (ECCV 2016) and in HRNet's published evaluation.
    """
    maps = outputs[0]
    rows, columns = _highest(maps)
    padded = np.pad(maps, ((0, 0), (1, 1), (1, 1)), mode="edge")
    each = np.arange(len(maps))
    x = columns + 0.25 * np.sign(padded[each, rows + 1, columns + 2] - padded[each, rows + 1, columns])
    y = rows + 0.25 * np.sign(padded[each, rows + 2, columns + 1] - padded[each, rows, columns + 1])
    cells = np.stack([x, y], axis=1)
    stride = np.array([shape[1] / maps.shape[2], shape[0] / maps.shape[1]])
    return np.asarray((cells + 0.5) * stride - 0.5, np.float32)


def decode_logit_offsets(outputs: Sequence[Floats], shape: tuple[int, int]) -> Floats:
    """Maps [3 K, H, W]: heatmaps, then the offsets of y and those of x as probabilities p.

    The offset is ln(p / (1 - p)) / 16 of the side, and the first and the last cell stand for the first and the last
    pixel: `tracker.py` of OpenSeeFace.
    """
    maps = outputs[0]
    count = len(maps) // 3
    rows, columns = _highest(maps[:count])
    each = np.arange(count)
    p = np.clip(maps[count:].reshape(2, count, *maps.shape[1:])[:, each, rows, columns], 1e-7, 1 - 1e-7)
    down, across = np.log(p / (1 - p)) / 16
    cells, last = np.array(maps.shape[1:]) - 1, np.array(shape) - 1
    y, x = (rows / cells[0] + down) * last[0], (columns / cells[1] + across) * last[1]
    return np.asarray(np.stack([x, y], axis=1), np.float32)


def decode_coordinates(outputs: Sequence[Floats], shape: tuple[int, int]) -> Floats:
    """Coordinates x0, y0, x1, y1, ... over the input's width and height: 0 is the picture's edge, 1 the other one."""
    return np.asarray(outputs[0].reshape(-1, 2) * (shape[1], shape[0]) - 0.5, np.float32)


DECODERS: dict[str, Decoder] = {
    "heatmaps": decode_heatmaps,
    "logit-offsets": decode_logit_offsets,
    "coordinates": decode_coordinates,
}
