"""Films of dots whose places are known, and a detector that sees what it is told to see."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from tiny_models import dotted_frame

from npuface_runtime import Detection, FaceTracker, TrackedFace, Tracking

Open = Callable[..., FaceTracker]
WIDTH, HEIGHT = 480, 240
EYES = np.array([(-20.0, -15.0), (20.0, 15.0)])
"""The red and the green dot of a face, from its middle."""
RAW = Tracking(smoothing=None)
TOLERANCE = 0.35
"""Frame pixels; a heatmap cell of these crops covers 3.3."""

Places = list[tuple[float, float]]


def backdrop(seed: int) -> NDArray[np.uint8]:
    """A scene in blue, which the network does not see."""
    patches = np.random.default_rng(seed).integers(0, 255, (6, 8))
    return np.asarray(np.kron(patches, np.ones((HEIGHT // 6, WIDTH // 8))), np.uint8)


def at(place: tuple[float, float]) -> NDArray[np.float64]:
    """The landmarks of a face at a place."""
    return EYES + np.array(place)


def picture(places: Places, scene: int = 0) -> NDArray[np.uint8]:
    """Faces of a red and a green dot at these places."""
    frame = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    for place in places:
        red, green = ((float(x), float(y)) for x, y in at(place))
        frame = np.maximum(frame, dotted_frame(WIDTH, HEIGHT, red, green, sigma=4.0))
    frame[:, :, 2] = backdrop(scene)
    return frame


class Seer:
    """Sees the faces at `places`; counts how often it looked."""

    def __init__(self, *places: tuple[float, float]) -> None:
        self.places = list(places)
        self.looked = 0

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        self.looked += 1
        return [Detection((x - 24, y - 18, x + 22, y + 17), 0.9) for x, y in self.places]

    def to_landmark_box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        return box

    def close(self) -> None:
        pass


def ids(faces: list[TrackedFace]) -> list[int]:
    return [face.id for face in faces]
