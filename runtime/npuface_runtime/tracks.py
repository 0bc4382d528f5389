"""Faces over time: what is remembered of each, which detection is which face, which two are one."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors.detector import Box
from npuface_runtime.geometry import Crop, box_of_points, crop_of_box
from npuface_runtime.smoothing import OneEuro

EYE_CORNERS = {"ibug-68": (36, 45), "wflw-98": (60, 72)}
"""The outer eye corners of a scheme, the one on the left of an upright picture first."""
_MEMORY = 64
"""Frames for which a face's boxes are remembered; a detector that runs beside is not later than that."""
_MIN_OVERLAP = 0.2
_MAX_DISTANCE = 0.6
"""Between the centres of a face's box and a detection's, over the larger side; those of neighbours lie over 1 apart."""
_MAX_SIZES = 2.5
_SAME_POINTS = 0.15
"""Mean distance of landmarks over the face's side, under which two are one face."""
_MIN_TURN = np.deg2rad(15)
"""Faces that lean less are cut out upright, which is faster. Measured on 60 p1 pictures, an upright crop of a face
turned by 10, 20, 30, 45 degrees takes the shipped student's NME from 4.8 % to 4.9, 5.0, 5.5 and 9.0 %."""


class Located(NamedTuple):
    """A face that the network found; see Track."""

    landmarks: NDArray[np.float32]
    confidence: NDArray[np.float32] | None
    level: float


@dataclass(eq=False)
class Track:
    """A face that is followed.

    Attributes:
        id: never given to another face.
        landmarks: [K, 2] in frame pixels, as the network last found them.
        confidence: [K] of them, or None where the decode has none.
        score: the detector's, when it last saw the face.
        level: how sure the network is of it, 1 for a clear face, and where it cannot tell.
        smoother: of the landmarks.
        born: index of its first frame.
        seen: index of the last frame in which it was found.
        sure: its level when the detector last saw it; see `level`.
        missed: how many times in a row the detector has not seen it.
        boxes: (index, box around the landmarks) of the last frames.
    """

    id: int
    landmarks: NDArray[np.float32]
    confidence: NDArray[np.float32] | None
    score: float
    level: float
    smoother: OneEuro
    born: int
    seen: int
    sure: float = 1.0
    missed: int = 0
    boxes: deque[tuple[int, Box]] = field(default_factory=lambda: deque(maxlen=_MEMORY))

    def __post_init__(self) -> None:
        self.sure = self.level
        self.boxes.append((self.seen, self.box))

    def copy(self) -> Track:
        """The same as it is now, which what is found later does not change; the smoother is shared."""
        twin = copy(self)
        twin.boxes = self.boxes.copy()
        return twin

    @property
    def box(self) -> Box:
        """The tight box around the landmarks."""
        return tight_box(self.landmarks)

    def found(self, index: int, where: Located) -> None:
        """The network found it in the frame of that index."""
        self.landmarks, self.confidence, self.level = where
        self.seen = index
        self.boxes.append((index, self.box))

    def box_at(self, index: int) -> Box:
        """Its box in the frame of that index, or in the nearest that is remembered."""
        return min(self.boxes, key=lambda entry: abs(entry[0] - index))[1]

    def is_same(self, other: Track) -> bool:
        """Whether two tracks follow one face: their landmarks lie on each other."""
        apart = np.linalg.norm(self.landmarks - other.landmarks, axis=1).mean()
        return bool(apart < _SAME_POINTS * max(side_of(self.box), side_of(other.box)))


def tight_box(landmarks: NDArray[np.float32]) -> Box:
    """The box around landmarks [K, 2], as plain floats."""
    x0, y0, x1, y1 = (float(v) for v in box_of_points(landmarks))
    return x0, y0, x1, y1


def side_of(box: Box) -> float:
    """The longer side of a box, at least 1 pixel."""
    return max(box[2] - box[0], box[3] - box[1], 1.0)


def next_crop(landmarks: NDArray[np.float32], margin: float, scheme: str) -> Crop:
    """Where to look for a face in the next frame: the box around its landmarks, turned with the eyes.

    Args:
        landmarks: [K, 2] in frame pixels.
        margin: see manifest.Preprocess.
        scheme: of the landmarks; where its eyes are not known, the crop is upright.
    """
    if scheme in EYE_CORNERS:
        first, second = EYE_CORNERS[scheme]
        across, down = landmarks[second] - landmarks[first]
        angle = float(np.arctan2(down, across))
        if abs(angle) > _MIN_TURN:
            c, s = np.cos(angle), np.sin(angle)
            turn = np.array([[c, -s], [s, c]], np.float32)
            upright = crop_of_box(box_of_points(landmarks @ turn), margin)
            x, y = turn @ (upright.x, upright.y)
            return Crop(float(x), float(y), upright.side, angle)
    return crop_of_box(box_of_points(landmarks), margin)


def associate(tracks: Sequence[Box], detections: Sequence[Box]) -> list[tuple[int, int]]:
    """Pairs (track, detection) of boxes that are the same face, each used once.

    Those that overlap most go first; boxes that hardly overlap belong together where their centres are near.
    """
    if not tracks or not detections:
        return []
    a, b = np.asarray(tracks, np.float64)[:, None], np.asarray(detections, np.float64)[None]
    extent_a, extent_b = a[..., 2:] - a[..., :2], b[..., 2:] - b[..., :2]
    shared = np.clip(np.minimum(a[..., 2:], b[..., 2:]) - np.maximum(a[..., :2], b[..., :2]), 0, None).prod(axis=-1)
    overlap = shared / np.maximum(extent_a.prod(axis=-1) + extent_b.prod(axis=-1) - shared, 1e-9)
    sides_a, sides_b = np.maximum(extent_a.max(axis=-1), 1), np.maximum(extent_b.max(axis=-1), 1)
    larger, smaller = np.maximum(sides_a, sides_b), np.minimum(sides_a, sides_b)
    distance = np.linalg.norm(a[..., :2] + a[..., 2:] - b[..., :2] - b[..., 2:], axis=-1) / 2 / larger
    fits = (overlap >= _MIN_OVERLAP) | ((distance <= _MAX_DISTANCE) & (larger <= _MAX_SIZES * smaller))
    pairs: list[tuple[int, int]] = []
    for flat in np.argsort(distance - overlap, axis=None, kind="stable"):
        i, j = (int(n) for n in np.unravel_index(flat, fits.shape))
        if fits[i, j] and all(i != p and j != q for p, q in pairs):
            pairs.append((i, j))
    return pairs
