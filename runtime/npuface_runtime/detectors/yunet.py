"""YuNet (libfacedetection): an anchor-free face detector in an ONNX file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors.boxes import detections_in_frame, fit_frame
from npuface_runtime.detectors.detector import Box, Detection, Framing
from npuface_runtime.engines import Session
from npuface_runtime.manifest_parts import MAX_SIDE

_STRIDES = (8, 16, 32)
_FRAMING = Framing(0.005, 0.131, 1.058, 0.771)
"""Measured with measure_framing on 460 p1 training pictures and the 164 WFLW pictures (68 points), the mean of the
two; a test measures it again. It found 460 and 161 of the faces."""


class YuNet:
    """A detector; see Detector. Takes BGR 0..255; a score is the root of class times objectness, 0..1."""

    def __init__(self, session: Session, min_score: float = 0.7) -> None:
        self._session = session
        self._min_score = min_score
        self._height, self._width = session.input.shape[2:]
        self._names = [spec.name for spec in session.outputs]

    @staticmethod
    def fits(session: Session) -> bool:
        """Whether a model's inputs and outputs are those of YuNet with a fixed input size."""
        shape = session.input.shape
        if (
            len(shape) != 4
            or shape[:2] != (1, 3)
            or not 1 <= min(shape) <= max(shape) <= MAX_SIDE
            or any(n % max(_STRIDES) for n in shape[2:])
        ):
            return False
        found = {spec.name: spec.shape for spec in session.outputs}
        cells = {stride: shape[2] * shape[3] // stride**2 for stride in _STRIDES}
        wanted = {
            f"{kind}_{s}": (1, cells[s], n) for kind, n in (("cls", 1), ("obj", 1), ("bbox", 4)) for s in _STRIDES
        }
        return all(found.get(name) == shape for name, shape in wanted.items())

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """Faces in an RGB frame [H, W, 3], the surest first."""
        picture, scale = fit_frame(frame, self._width, self._height)
        outputs = dict(
            zip(self._names, self._session.run(picture[None, :, :, ::-1].transpose(0, 3, 1, 2)), strict=True)
        )
        boxes, scores = [], []
        for stride in _STRIDES:
            likely = outputs[f"cls_{stride}"][0, :, 0].clip(0, 1) * outputs[f"obj_{stride}"][0, :, 0].clip(0, 1)
            scores.append(np.sqrt(likely))
            boxes.append(self._edges(outputs[f"bbox_{stride}"][0], stride))
        return detections_in_frame(np.concatenate(boxes), np.concatenate(scores), scale, self._min_score)

    def _edges(self, offsets: NDArray[np.float32], stride: int) -> NDArray[np.float32]:
        """Offsets [cells, 4] (centre in cells from the cell, log of size in cells) -> x0, y0, x1, y1 in pixels."""
        row, column = np.divmod(np.arange(len(offsets)), self._width // stride)
        centre = np.stack([column, row], axis=1) + offsets[:, :2]
        half = np.exp(np.minimum(offsets[:, 2:], 10)) / 2
        return np.asarray(np.concatenate([centre - half, centre + half], axis=1) * stride, np.float32)

    def to_landmark_box(self, box: Box) -> Box:
        """See Detector."""
        return _FRAMING.landmark_box(box)

    def close(self) -> None:
        """Close its model."""
        self._session.close()
