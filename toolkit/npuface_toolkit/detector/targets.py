"""What the detector's maps should be for a picture's faces.

A face is a Gaussian peak around its centre, as wide as its box, and each cell under it learns the box with the peak's
weight: "Training-Time-Friendly Network for Real-Time Object Detection" (Liu et al., AAAI 2020, section 3).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npuface_toolkit.detector.network import STRIDE

Floats = NDArray[np.float32]
_SPREAD = 0.54 / 6
"""Standard deviation of a peak over the side of its box."""
_LEAST_SPREAD = 0.3
"""In cells: a face smaller than a cell has one cell."""
_SEEN = 0.1
"""Height of a peak above which a cell learns the box."""


class Targets(NamedTuple):
    """Of one picture, or with a batch dimension in front of each.

    Attributes:
        peaks: [h, w], 1 at the centre of a face.
        counted: [h, w], 0 where nobody knows whether there is a face.
        boxes: [h, w, 4], in pixels, of the face that the cell learns.
        weights: [h, w] of the boxes; those of a face sum to 1.
    """

    peaks: Floats
    counted: Floats
    boxes: Floats
    weights: Floats


def draw_targets(boxes: Floats, sure: NDArray[np.bool_], cells: tuple[int, int]) -> Targets:
    """Draw the maps; where faces overlap, a cell learns the smaller one.

    Args:
        boxes: [N, 4] in pixels of the input, pixel centres at integers.
        sure: [N], whether it is certain that this is a face; the others are not counted.
        cells: height and width of the grid.
    """
    peaks, counted = np.zeros(cells, np.float32), np.ones(cells, np.float32)
    learnt, weights = np.zeros((*cells, 4), np.float32), np.zeros(cells, np.float32)
    order = np.argsort(-(boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]), kind="stable")
    for i in order:
        if not sure[i]:
            counted[_inside(boxes[i], cells)] = 0
    for i in order[sure[order]]:
        peak = _peak(boxes[i], cells)
        peaks = np.maximum(peaks, peak)
        seen = peak > _SEEN
        learnt[seen] = boxes[i]
        weights[seen] = (peak / peak[seen].sum())[seen]
    counted[peaks > _SEEN] = 1
    return Targets(peaks, counted, learnt, weights)


def _inside(box: Floats, cells: tuple[int, int]) -> tuple[slice, slice]:
    """The cells that a box touches."""
    low = np.clip(np.floor((box[:2] + 0.5) / STRIDE), 0, None).astype(int)
    high = np.clip(np.ceil((box[2:] + 0.5) / STRIDE), 0, cells[::-1]).astype(int)
    return slice(low[1], high[1]), slice(low[0], high[0])


def _peak(box: Floats, cells: tuple[int, int]) -> Floats:
    """A Gaussian whose top, 1, is at the cell that the centre falls into, or at the nearest one of the grid."""
    profiles = []
    for axis, count in ((1, cells[0]), (0, cells[1])):
        middle = np.clip(np.floor(((box[axis] + box[axis + 2]) / 2 + 0.5) / STRIDE), 0, count - 1)
        sigma = max(_LEAST_SPREAD, _SPREAD * float(box[axis + 2] - box[axis]) / STRIDE)
        profiles.append(np.exp(-((np.arange(count) - middle) ** 2) / (2 * sigma**2)))
    return np.asarray(profiles[0][:, None] * profiles[1], np.float32)
