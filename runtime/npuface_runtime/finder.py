"""Where the detector runs: at once, or on a thread beside the network."""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors import Detector
from npuface_runtime.detectors.detector import Box


@dataclass(frozen=True)
class Sighting:
    """A face that the detector saw.

    Attributes:
        box: as the detector framed it.
        landmark_box: the tight box around the landmarks that it implies.
        score: the detector's own.
    """

    box: Box
    landmark_box: Box
    score: float


@dataclass(frozen=True)
class Found:
    """What the detector saw in the frame of that index."""

    index: int
    sightings: Sequence[Sighting]


class Finder(Protocol):
    """Runs a detector on the frames that it is given."""

    def submit(self, index: int, frame: NDArray[np.uint8]) -> bool:
        """Look for faces in an RGB frame. False where it is still busy with another: the frame is not looked at."""
        ...

    def poll(self, wait: bool = False) -> Found | None:
        """What was found since the last call, once; None where nothing is ready. Raises what the detector raised.

        With `wait`, until the detector is done, if it is at work.
        """
        ...

    def close(self) -> None:
        """Wait for the detector to come to rest. The detector itself stays open."""
        ...


def find(detector: Detector, index: int, frame: NDArray[np.uint8]) -> Found:
    """The faces that a detector sees in an RGB frame; boxes that are none are left out."""
    seen = [Sighting(face.box, detector.to_landmark_box(face.box), face.score) for face in detector.detect(frame)]
    return Found(index, [sighting for sighting in seen if _is_box(sighting.landmark_box)])


def _is_box(box: Box) -> bool:
    """Whether it is finite and has an extent."""
    x0, y0, x1, y1 = box
    return all(map(math.isfinite, box)) and x0 < x1 and y0 < y1


class FindNow:
    """The detector runs while the caller waits."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._found: Found | None = None

    def submit(self, index: int, frame: NDArray[np.uint8]) -> bool:
        """See Finder."""
        self._found = find(self._detector, index, frame)
        return True

    def poll(self, wait: bool = False) -> Found | None:
        """See Finder."""
        found, self._found = self._found, None
        return found

    def close(self) -> None:
        """Nothing to wait for."""


class FindBeside:
    """The detector runs on a thread of its own; what it finds comes some frames later."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="npuface-detector")
        self._pending: Future[Found] | None = None

    def submit(self, index: int, frame: NDArray[np.uint8]) -> bool:
        """See Finder. The frame is copied: its owner may write the next one into it."""
        if self._pending is not None:
            return False
        self._pending = self._thread.submit(find, self._detector, index, frame.copy())
        return True

    def poll(self, wait: bool = False) -> Found | None:
        """See Finder."""
        pending = self._pending
        if pending is None or not (wait or pending.done()):
            return None
        self._pending = None
        return pending.result()

    def close(self) -> None:
        """See Finder."""
        self._thread.shutdown(wait=True, cancel_futures=True)
