"""OpenCV's Haar cascade for frontal faces: ships with OpenCV, needs no model file."""

from __future__ import annotations

from pathlib import Path

import cv2
import cv2.data
import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors.detector import Box, Detection, Framing

_FILE = "haarcascade_frontalface_default.xml"
_MAX_SIDE = 640
"""Larger frames are scaled down to it first: the cascade's time grows with the pixels."""
_MIN_SHARE = 0.1
"""The smallest face looked for, over the frame's shorter side."""
_FRAMING = Framing(0.008, 0.153, 0.849, 0.827)
"""Measured with measure_framing on 460 p1 training pictures and the 164 WFLW pictures (68 points), the mean of the
two; a test measures it again. It found 450 and 106 of the faces."""


class Cascade:
    """A detector; see Detector. A score is the weight of the cascade's last stage, unbounded."""

    def __init__(self) -> None:
        self._classifier = cv2.CascadeClassifier(str(Path(cv2.data.haarcascades) / _FILE))

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """Faces in an RGB frame [H, W, 3], the surest first."""
        grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
        scale = max(1.0, max(grey.shape) / _MAX_SIDE)
        if scale > 1:
            size = max(1, round(grey.shape[1] / scale)), max(1, round(grey.shape[0] / scale))
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        smallest = max(24, int(min(grey.shape) * _MIN_SHARE))
        rectangles, _, weights = self._classifier.detectMultiScale3(
            grey, scaleFactor=1.1, minNeighbors=5, minSize=(smallest, smallest), outputRejectLevels=True
        )
        faces = []
        for (x, y, w, h), weight in zip(rectangles, weights, strict=True):
            x0, y0, x1, y1 = (float(edge) * scale - 0.5 for edge in (x, y, x + w, y + h))
            faces.append(Detection((x0, y0, x1, y1), float(weight)))
        return sorted(faces, key=lambda face: -face.score)

    def to_landmark_box(self, box: Box) -> Box:
        """See Detector."""
        return _FRAMING.landmark_box(box)

    def close(self) -> None:
        """Nothing to let go of."""
