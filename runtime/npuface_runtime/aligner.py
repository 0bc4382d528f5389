"""FaceAligner: a frame in, the landmarks of its faces out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npuface_runtime.detectors import Detection, Detector, open_detector
from npuface_runtime.detectors.detector import Box
from npuface_runtime.errors import UserError
from npuface_runtime.frames import as_rgb, check_colour
from npuface_runtime.geometry import box_of_points, crop_of_box
from npuface_runtime.landmarker import Landmarker
from npuface_runtime.manifest import Manifest


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a frame. Coordinates are frame pixels: x right, y down, pixel centres at integers.

    Attributes:
        box: x0, y0, x1, y1 as the detector framed it, or as it was given.
        score: the detector's own; 1 for a box that was given.
        landmarks: float32 [K, 2], x and y.
        confidence: float32 [K] in 0..1; None where the network's decode has none.
    """

    box: Box
    score: float
    landmarks: NDArray[np.float32]
    confidence: NDArray[np.float32] | None


class FaceAligner:
    """Finds the landmarks of every face in a frame. A context manager; safe to use from several threads."""

    def __init__(
        self,
        bundle: str | Path,
        detector: str | Path | Detector = "cascade",
        threads: int = 1,
        *,
        passes: int = 1,
        colour: str = "rgb",
        on: str = "host",
    ) -> None:
        """Open a bundle and a detector.

        Args:
            bundle: a folder made by npuface export.
            detector: "cascade", the folder of a detector's bundle, the path of a YuNet or UltraFace ONNX file, or a
                Detector, which stays the caller's to close.
            threads: CPU threads of the engine.
            passes: how often the network sees a face: from the second time on it is cut out around the
                landmarks of the time before. It helps a network that does not take rough framing; the shipped
                student does, and gains nothing from a second pass.
            colour: order of the frames' channels, "rgb" or "bgr".
            on: "host" for the engine of any machine, "device" for the NPU that the bundle was made for.

        Raises:
            UserError: one of these cannot be used.
        """
        if isinstance(passes, bool) or not isinstance(passes, int) or passes < 1:
            raise UserError(f"cannot make {passes!r} passes", "it is not a whole number from 1 up", "give 1 or 2")
        check_colour(colour)
        self._passes = passes
        self._colour = colour
        self._owns_detector = isinstance(detector, str | Path)
        self._detector = open_detector(detector, threads) if isinstance(detector, str | Path) else detector
        try:
            self._landmarker = Landmarker(bundle, threads, on)
        except UserError:
            self._close_detector()
            raise
        self._detecting = Lock()
        self._is_open = True

    @property
    def manifest(self) -> Manifest:
        """Of the bundle."""
        return self._landmarker.manifest

    @property
    def description(self) -> str:
        """What runs where, in one sentence; it says so where an engine stands in for an NPU."""
        return self._landmarker.description

    def align(
        self, frame: ArrayLike, boxes: Sequence[Sequence[float]] | NDArray[np.floating] | None = None
    ) -> list[Face]:
        """The faces of a frame; an empty list where there is none.

        Args:
            frame: see npuface_runtime.frames.as_rgb.
            boxes: [N, 4] tight boxes around the landmarks (x0, y0, x1, y1 in frame pixels); with them no
                detector runs.

        Raises:
            UserError: the frame or a box cannot be used, or the aligner is closed.
        """
        self._check_open()
        rgb = as_rgb(frame, self._colour)
        if boxes is not None:
            return [self._face(rgb, Detection(box, 1.0), box) for box in _checked(boxes)]
        with self._detecting:
            self._check_open()
            found = self._detector.detect(rgb)
        return [self._face(rgb, face, self._detector.to_landmark_box(face.box)) for face in found]

    __call__ = align

    def _check_open(self) -> None:
        if not self._is_open:
            raise UserError("cannot align faces", "this FaceAligner is closed", "make another")

    def _face(self, rgb: NDArray[np.uint8], detection: Detection, landmark_box: Box) -> Face:
        margin = self.manifest.preprocess.margin
        landmarks, confidence = self._landmarker.locate(rgb, crop_of_box(landmark_box, margin))
        for _ in range(self._passes - 1):
            landmarks, confidence = self._landmarker.locate(rgb, crop_of_box(box_of_points(landmarks), margin))
        return Face(detection.box, detection.score, landmarks, confidence)

    def close(self) -> None:
        """Let go of the model, and of the detector if it was opened here, after the run that may be going on.

        Closing twice is harmless.
        """
        with self._detecting:
            if self._is_open:
                self._is_open = False
                self._landmarker.close()
                self._close_detector()

    def _close_detector(self) -> None:
        if self._owns_detector:
            self._detector.close()

    def __enter__(self) -> FaceAligner:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _checked(boxes: Sequence[Sequence[float]] | NDArray[np.floating]) -> list[Box]:
    """Boxes as tuples of floats. Raises UserError where they are no boxes."""
    try:
        array = np.asarray(boxes, np.float64)
    except (TypeError, ValueError):
        array = np.full(1, np.nan)
    if array.size == 0:
        return []
    if array.ndim != 2 or array.shape[1] != 4:
        why = "they are not four numbers each"
    elif not (np.isfinite(array).all() and (array[:, 2:] > array[:, :2]).all()):
        why = "a box is not finite or has no extent"
    else:
        return [(float(x0), float(y0), float(x1), float(y1)) for x0, y0, x1, y1 in array]
    raise UserError("cannot use these boxes", why, "give x0, y0, x1, y1 in frame pixels for every face")
