"""UltraFace (Ultra-Light-Fast-Generic-Face-Detector-1MB): an SSD face detector in an ONNX file."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors.boxes import detections_in_frame, fit_frame
from npuface_runtime.detectors.detector import Box, Detection, Framing
from npuface_runtime.engines import Session
from npuface_runtime.manifest_parts import MAX_SIDE

_ANCHORS = {8: (10, 16, 24), 16: (32, 48), 32: (64, 96), 64: (128, 192, 256)}
"""Sides of the anchors in pixels, by stride."""
_CENTRE_VARIANCE, _SIZE_VARIANCE = 0.1, 0.2
_FRAMING = Framing(0.007, 0.138, 1.079, 0.756)
"""Measured with measure_framing on 460 p1 training pictures and the 164 WFLW pictures (68 points), the mean of the
two; a test measures it again. It found 460 and 160 of the faces."""


class UltraFace:
    """A detector; see Detector. Takes (RGB - 127) / 128; a score is the softmax of the face class, 0..1.

    The published files come with their boxes decoded or, "without postprocessing", as offsets from anchors.
    Nothing in their shapes tells which, so a grey picture is run once: decoded boxes all have an extent.
    """

    def __init__(self, session: Session, min_score: float = 0.7) -> None:
        self._session = session
        self._min_score = min_score
        self._height, self._width = session.input.shape[2:]
        self._order = [[spec.name for spec in session.outputs].index(name) for name in ("scores", "boxes")]
        self._anchors = _anchors(self._width, self._height)
        _, boxes = self._run(np.full((self._height, self._width, 3), 127, np.float32))
        self._is_decoded = bool((boxes[:, 2:] > boxes[:, :2]).all())

    @staticmethod
    def fits(session: Session) -> bool:
        """Whether a model's inputs and outputs are those of UltraFace with a fixed input size."""
        shape = session.input.shape
        if len(shape) != 4 or shape[:2] != (1, 3) or not 1 <= min(shape) <= max(shape) <= MAX_SIDE:
            return False
        n = len(_anchors(shape[3], shape[2]))
        found = {spec.name: spec.shape for spec in session.outputs}
        return found == {"scores": (1, n, 2), "boxes": (1, n, 4)}

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """Faces in an RGB frame [H, W, 3], the surest first."""
        picture, scale = fit_frame(frame, self._width, self._height)
        scores, boxes = self._run(picture)
        edges = boxes if self._is_decoded else _decode(boxes, self._anchors)
        size = np.array([self._width, self._height] * 2, np.float32)
        return detections_in_frame(edges * size, scores, scale, self._min_score)

    def _run(self, picture: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """RGB [H, W, 3] in 0..255 -> score of each anchor [N], box of each anchor [N, 4]."""
        outputs = self._session.run(((picture - 127) / 128).transpose(2, 0, 1)[None])
        scores, boxes = (outputs[i][0] for i in self._order)
        return scores[:, 1], boxes

    def to_landmark_box(self, box: Box) -> Box:
        """See Detector."""
        return _FRAMING.landmark_box(box)

    def close(self) -> None:
        """Close its model."""
        self._session.close()


def _anchors(width: int, height: int) -> NDArray[np.float32]:
    """The anchors [N, 4]: centre x, y, width, height, as shares of the input, over which the centres spread evenly."""
    rows = []
    for stride, sides in _ANCHORS.items():
        across, down = -(-width // stride), -(-height // stride)
        y, x, side = (v.ravel() for v in np.meshgrid(np.arange(down), np.arange(across), sides, indexing="ij"))
        rows.append(np.stack([(x + 0.5) / across, (y + 0.5) / down, side / width, side / height], axis=1))
    return np.concatenate(rows).clip(0, 1).astype(np.float32)


def _decode(offsets: NDArray[np.float32], anchors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Offsets from anchors [N, 4] -> x0, y0, x1, y1 as shares of the input."""
    centre = offsets[:, :2] * _CENTRE_VARIANCE * anchors[:, 2:] + anchors[:, :2]
    half = np.exp(np.minimum(offsets[:, 2:] * _SIZE_VARIANCE, 10)) * anchors[:, 2:] / 2
    return np.concatenate([centre - half, centre + half], axis=1)
