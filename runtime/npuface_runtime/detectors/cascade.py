"""OpenCV's Haar cascade for frontal faces: ships with OpenCV, needs no model file."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_runtime.checks import is_file
from npuface_runtime.detectors.detector import Box, Detection, Framing
from npuface_runtime.errors import UserError

_FILE = "haarcascade_frontalface_default.xml"
_DEBIAN = Path("/usr/share/opencv4/haarcascades")
"""Where Debian's package opencv-data has it: OpenCV as Debian builds it has no module cv2.data."""
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
        """Raises UserError where OpenCV's file of the cascade is missing or damaged."""
        file = _cascade_file()
        self._classifier = cv2.CascadeClassifier()
        try:
            is_loaded = self._classifier.load(str(file))
        except cv2.error:
            is_loaded = False
        if not is_loaded:
            raise UserError("cannot use the detector 'cascade'", f"OpenCV cannot read {file}", "install OpenCV again")

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


def _cascade_file() -> Path:
    """The file of the cascade. Raises UserError where this OpenCV came without it."""
    try:
        from cv2.data import haarcascades
    except ImportError:
        folders = [_DEBIAN]
    else:
        folders = [Path(haarcascades), _DEBIAN]
    for folder in folders:
        if is_file(folder / _FILE):
            return folder / _FILE
    raise UserError(
        "cannot use the detector 'cascade'",
        f"OpenCV is installed, but {_FILE} is not in {' or '.join(map(str, folders))}",
        "install opencv-data, where OpenCV comes from Debian, or pip install npuface[camera]",
    )
