"""What leaves our own face detector, and the faces in it; plain numpy, for those who run the engine themselves too."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors.boxes import FloatArray, detections_in_frame
from npuface_runtime.detectors.detector import Detection

CHANNELS = 5
_LARGEST = 4.0
"""Logarithm of the largest box over `size`: what is beyond is damage."""


@dataclass(frozen=True)
class MapsInfo:
    """The grid of cells that leaves the network, five numbers a cell: logit of the score; x and y of the face's centre
    from the cell's, in cells; logarithms of its width and height over `size`. The last four stand there times `gain`.

    Attributes:
        height, width: of the grid, in cells.
        stride: pixels of the network input per cell.
        size: pixels.
        gain: see above.
    """

    height: int
    width: int
    stride: int
    size: float
    gain: float


def faces_of(maps: NDArray[np.float32], info: MapsInfo, scale: float, min_score: float) -> list[Detection]:
    """The faces in a grid.

    Args:
        maps: [height, width, 5] float32.
        info: how to read them.
        scale: frame pixels per pixel of the network input, both having their left upper corners in common.
        min_score: score, 0 to 1, below which a cell is no face.

    Returns:
        Boxes in frame pixels, the surest first; of those that overlap by more than 0.3 of their union, the surest.
    """
    logits = maps[..., 0]
    rows, columns = np.nonzero(logits >= np.log(min_score / (1 - min_score)))
    values = maps[rows, columns, 1:] / np.float32(info.gain)
    centres = (np.stack([columns, rows], axis=1) + 0.5 + values[:, :2]) * info.stride  # edges count from the corner
    halves = info.size / 2 * np.exp(np.clip(values[:, 2:], -_LARGEST, _LARGEST))
    boxes: FloatArray = np.concatenate([centres - halves, centres + halves], axis=1).astype(np.float32)
    scores = 1 / (1 + np.exp(-logits[rows, columns]))
    return detections_in_frame(boxes, scores.astype(np.float32), scale, min_score)
