"""What a face detector gives, and how its boxes lie on faces."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Box = tuple[float, float, float, float]
"""x0, y0, x1, y1 in frame pixels: x right, y down, pixel centres at integers."""


@dataclass(frozen=True)
class Detection:
    """A face: its box as the detector frames it, and the detector's own score (higher is surer)."""

    box: Box
    score: float


class Detector(Protocol):
    """Finds faces. Anything with these members serves FaceAligner."""

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        """The faces in an RGB frame [H, W, 3], the surest first; an empty list where there is none."""
        ...

    def to_landmark_box(self, box: Box) -> Box:
        """A box of this detector -> the tight box around the same face's landmarks."""
        ...

    def close(self) -> None:
        """Let go of models and memory."""
        ...


@dataclass(frozen=True)
class Framing:
    """How the tight box around the landmarks lies in a detector's box.

    Attributes:
        dx, dy: from the centre of the detector's box to that of the landmarks', over its width and height.
        width, height: of the landmarks' box over those of the detector's box.
    """

    dx: float
    dy: float
    width: float
    height: float

    def landmark_box(self, box: Box) -> Box:
        """A detector's box -> the landmarks' box that it implies."""
        x0, y0, x1, y1 = box
        w, h = x1 - x0, y1 - y0
        x, y = (x0 + x1) / 2 + self.dx * w, (y0 + y1) / 2 + self.dy * h
        half_w, half_h = self.width * w / 2, self.height * h / 2
        return x - half_w, y - half_h, x + half_w, y + half_h


def measure_framing(boxes: NDArray[np.floating], landmark_boxes: NDArray[np.floating]) -> Framing:
    """The mean framing over faces: a detector's boxes [N, 4] and the landmarks' boxes [N, 4] of the same faces."""
    size, target = boxes[:, 2:] - boxes[:, :2], landmark_boxes[:, 2:] - landmark_boxes[:, :2]
    shift = (landmark_boxes[:, :2] + landmark_boxes[:, 2:] - boxes[:, :2] - boxes[:, 2:]) / 2
    return Framing(*(float(v) for v in (*(shift / size).mean(axis=0), *(target / size).mean(axis=0))))
