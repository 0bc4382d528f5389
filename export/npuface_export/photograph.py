"""The one photograph that everybody has: what parity is measured on, and what the demo shows."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors import open_detector
from npuface_runtime.detectors.detector import Box
from npuface_runtime.geometry import Crop, Shape, crop_of_box
from npuface_runtime.sampling import sample_crop

_TURNS = (-0.3, 0.0, 0.3)
_COVER = 90.0


def photograph() -> NDArray[np.uint8]:
    """scikit-image's public-domain portrait of Eileen Collins, RGB uint8 [512, 512, 3]."""
    from skimage import data

    return np.asarray(data.astronaut(), np.uint8)


def face_crops(shape: Shape, margin: float) -> list[NDArray[np.float32]]:
    """Its face, turned one way, upright, and turned the other: RGB [H, W, 3], 0..255, as the runtime cuts faces."""
    frame, face = photograph(), crop_of_box(_landmark_box(), margin)
    return [sample_crop(frame, Crop(face.x, face.y, face.side, angle), shape) for angle in _TURNS]


def covered_crops(shape: Shape, margin: float) -> list[NDArray[np.float32]]:
    """The same, a quarter of each grey: where a network has to guess, peaks are low and wide."""
    crops = face_crops(shape, margin)
    for crop in crops:
        height, width = crop.shape[:2]
        crop[height // 2 :, : width // 2] = _COVER
    return crops


@cache
def _landmark_box() -> Box:
    """Where its landmarks lie, by the cascade: every export looks there twice."""
    detector = open_detector("cascade")
    return detector.to_landmark_box(detector.detect(photograph())[0].box)
