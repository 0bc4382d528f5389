"""What the detectors that are networks share: fitting a frame into their input, and their boxes back."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors.detector import Detection
from npuface_runtime.geometry import Crop
from npuface_runtime.sampling import sample_crop

FloatArray = NDArray[np.float32]


def fit_frame(frame: NDArray[np.uint8], width: int, height: int) -> tuple[FloatArray, float]:
    """Scale an RGB frame to fit an input, its shape kept, black to the right or below.

    Returns:
        The picture, float32 [height, width, 3] in 0..255, and the frame pixels per input pixel.
    """
    scale = max(frame.shape[1] / width, frame.shape[0] / height)
    longest = max(width, height)
    side = scale * longest
    square = sample_crop(frame, Crop((side - 1) / 2, (side - 1) / 2, side), (longest, longest))
    return square[:height, :width], scale


def detections_in_frame(boxes: FloatArray, scores: FloatArray, scale: float, min_score: float) -> list[Detection]:
    """A network's boxes [N, 4] (edges, in input pixels) with scores [N] -> distinct faces in the frame.

    Boxes under `min_score` and those that overlap a surer one by more than 0.3 of their union are dropped.
    """
    sure = scores >= min_score
    boxes, scores = boxes[sure], scores[sure]
    faces = []
    for i in distinct(boxes, scores, 0.3):
        x0, y0, x1, y1 = (float(v) * scale - 0.5 for v in boxes[i])
        faces.append(Detection((x0, y0, x1, y1), float(scores[i])))
    return faces


def distinct(boxes: FloatArray, scores: FloatArray, max_overlap: float) -> list[int]:
    """Non-maximum suppression: indices of boxes [N, 4], the surest first, none overlapping a surer one too much.

    The overlap of two boxes is the area they share over that of their union.
    """
    area = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    while left.size:
        best, left = int(left[0]), left[1:]
        kept.append(best)
        low, high = np.maximum(boxes[left, :2], boxes[best, :2]), np.minimum(boxes[left, 2:], boxes[best, 2:])
        shared = np.clip(high - low, 0, None).prod(axis=1)
        left = left[shared <= max_overlap * (area[left] + area[best] - shared)]
    return kept
