"""FaceTracker: frames in, faces out that keep their ids."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from copy import copy
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from types import TracebackType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npuface_runtime.aligner import Face
from npuface_runtime.checks import number_of
from npuface_runtime.detectors import Detector, open_detector
from npuface_runtime.errors import UserError
from npuface_runtime.finder import FindBeside, Finder, FindNow, Found, Sighting
from npuface_runtime.frames import as_rgb, check_colour
from npuface_runtime.geometry import Crop, crop_of_box
from npuface_runtime.landmarker import Landmarker
from npuface_runtime.scene import SceneWatch
from npuface_runtime.smoothing import OneEuro, Smoothing
from npuface_runtime.tracking import Tracking
from npuface_runtime.tracks import Located, Track, associate, next_crop, side_of, tight_box

Frame = NDArray[np.uint8]
_MAX_SIDES = 4
"""A crop that many times the frame's longer side holds no face."""
_WEAK = 1.6
"""A face under that many times the least confidence is weak, and the detector has to see it."""


@dataclass(frozen=True, eq=False)
class TrackedFace(Face):
    """A face that is followed from frame to frame; its box is the tight one around its landmarks.

    Attributes:
        id: the same as long as the face is followed; given to no other face.
        age: frames since it was first seen, 0 in the first.
    """

    id: int
    age: int


class FaceTracker:
    """Follows faces: the landmarks of one frame say where to look in the next, and the detector runs now and then.

    A context manager. Calls from several threads take turns, but it follows one video.

    Attributes:
        tracking: how faces are followed.
        detections: how many times the detector was started.
    """

    def __init__(
        self,
        bundle: str | Path,
        detector: str | Path | Detector = "cascade",
        threads: int = 1,
        *,
        tracking: Tracking | None = None,
        beside: bool = False,
        colour: str = "rgb",
        on: str = "host",
    ) -> None:
        """Open a bundle and a detector.

        Args:
            bundle: a folder made by npuface export.
            detector: see FaceAligner.
            threads: CPU threads of the engine.
            tracking: how faces are followed.
            beside: run the detector on a thread of its own, so that frames do not wait for it, and a new face is
                seen some frames later. Meant for cameras. Without it the same frames give the same faces every time.
            colour: order of the frames' channels, "rgb" or "bgr".
            on: see FaceAligner.

        Raises:
            UserError: one of these cannot be used.
        """
        check_colour(colour)
        self._colour = colour
        self.tracking = tracking or Tracking()
        self._owns_detector = isinstance(detector, str | Path)
        self._detector = open_detector(detector, threads) if isinstance(detector, str | Path) else detector
        try:
            self._landmarker = Landmarker(bundle, threads, on)
        except UserError:
            self._close_detector()
            raise
        self._finder: Finder = FindBeside(self._detector) if beside else FindNow(self._detector)
        self._turn = Lock()
        self._tracks: list[Track] = []
        self._scene = SceneWatch()
        self._index = self._next_id = 0
        self._searched = self._cut = -1
        self._time = -np.inf
        self.detections = 0
        self._is_open = True

    @property
    def description(self) -> str:
        """What runs where, in one sentence."""
        return self._landmarker.description

    def track(self, frame: ArrayLike, time: float | None = None) -> list[TrackedFace]:
        """The faces of the next frame, the longest known first.

        Args:
            frame: see npuface_runtime.frames.as_rgb.
            time: when it was taken, in seconds; the frame rate tells where it is not given.

        Raises:
            UserError: the frame cannot be used, or the tracker is closed.
            EngineError: the engine failed; the next frame may be tried.
        """
        with self._turn:
            if not self._is_open:
                raise UserError("cannot track faces", "this FaceTracker is closed", "make another")
            rgb = as_rgb(frame, self._colour)
            self._time = self._next_time(time)
            self._step(rgb)
            return [self._given_out(track) for track in self._tracks if track.seen == self._index]

    def run(self, frames: Iterable[ArrayLike]) -> Iterator[list[TrackedFace]]:
        """The faces of each frame."""
        for frame in frames:
            yield self.track(frame)

    def swap(self, bundle: str | Path) -> None:
        """Go on with another bundle from the next frame on; see Landmarker.swap."""
        self._landmarker.swap(bundle, self._turn)

    def _next_time(self, time: float | None) -> float:
        if time is None:
            return 0.0 if self._time == -np.inf else self._time + 1 / self.tracking.frame_rate
        if not math.isfinite(number_of(time)):
            raise UserError("cannot track this frame", f"its time is {time!r}", "give seconds")
        return time

    def _step(self, rgb: Frame) -> None:
        """Follow and find. Where that fails the frame does not count, so that nobody is lost by it."""
        tracks, scene = [track.copy() for track in self._tracks], copy(self._scene)
        before = tracks, scene, self._index, self._next_id, self._searched, self._cut
        found = None
        try:
            found = self._look(rgb)
            if found is not None and found.index >= self._cut:
                self._take(rgb, found)
        except BaseException:
            self._tracks, self._scene, self._index, self._next_id, self._searched, self._cut = before
            if found is not None:
                self._searched = -1  # what the detector saw went with this frame: it looks at the next one
            raise
        self._tracks = [track for track in self._tracks if self._index - track.seen <= self.tracking.keep_lost]

    def _look(self, rgb: Frame) -> Found | None:
        """Follow every face into the frame; what the detector saw in this one or, beside, in an earlier one."""
        self._index += 1
        if self._scene.is_cut(rgb):
            self._tracks.clear()
            self._cut = self._index
        lost_now = [track for track in self._tracks if not self._follow(rgb, track)]
        self._merge()
        if self._is_due(bool(lost_now)) and self._finder.submit(self._index, rgb):
            self._searched = self._index
            self.detections += 1
        return self._finder.poll(wait=self._index - self._searched >= self.tracking.max_lag)

    def _follow(self, rgb: Frame, track: Track) -> bool:
        """Find a face around where it was. False where it was there in the last frame and is lost in this one."""
        if track.seen < self._index - 1:
            return True
        before = track.box
        found = self._locate(rgb, self._crop(track))
        if found is None or not 0.5 < side_of(tight_box(found.landmarks)) / side_of(before) < 2:
            return False
        track.found(self._index, found)
        return True

    def _crop(self, track: Track) -> Crop:
        manifest = self._landmarker.manifest
        return next_crop(track.landmarks, manifest.preprocess.margin, manifest.landmarks.scheme)

    def _locate(self, rgb: Frame, crop: Crop) -> Located | None:
        """The landmarks in a crop, and how sure they are; None where it holds no face."""
        if not (_is_inside(crop.x, crop.y, rgb) and crop.side <= _MAX_SIDES * max(rgb.shape[:2])):
            return None
        landmarks, confidence = self._landmarker.locate(rgb, crop)
        clear = self._landmarker.manifest.decode.face_confidence
        level = 1.0 if confidence is None or clear is None else float(confidence.mean()) / clear
        x, y = landmarks.mean(axis=0)
        is_face = _is_inside(x, y, rgb) and level >= self.tracking.min_confidence
        return Located(landmarks, confidence, level) if is_face else None

    def _merge(self) -> None:
        """Of two tracks on one face the older stays."""
        kept: list[Track] = []
        for track in self._tracks:
            if track.seen < self._index or not any(t.seen == self._index and t.is_same(track) for t in kept):
                kept.append(track)
        self._tracks = kept

    def _is_due(self, lost_now: bool) -> bool:
        """Whether the detector should look at this frame."""
        since = self._index - self._searched
        if self._searched < 0 or self._cut == self._index or lost_now or since >= self.tracking.detect_every:
            return True
        waiting = [t for t in self._tracks if t.seen < self._index or self._is_doubtful(t)]
        return since >= self.tracking.search_every and (not self._tracks or bool(waiting))

    def _is_doubtful(self, track: Track) -> bool:
        return track.level < self.tracking.doubt * track.sure

    def _take(self, rgb: Frame, found: Found) -> None:
        """Bring tracks and detections together."""
        known = [track for track in self._tracks if track.born <= found.index]
        pairs = associate([t.box_at(found.index) for t in known], [s.landmark_box for s in found.sightings])
        for i, j in pairs:
            self._confirm(rgb, known[i], found.sightings[j])
        matched = {i for i, _ in pairs}
        for i, track in enumerate(known):
            if i not in matched:
                track.missed += 1
        self._tracks = [track for track in self._tracks if not self._is_given_up(track)]
        taken = {j for _, j in pairs}
        for j, sighting in enumerate(found.sightings):
            if j not in taken:
                self._begin(rgb, sighting)

    def _confirm(self, rgb: Frame, track: Track, sighting: Sighting) -> None:
        """The detector sees a face that is followed. Where it is lost or in doubt, it is framed anew."""
        if track.seen < self._index or self._is_doubtful(track):
            again = self._locate(rgb, self._first_crop(sighting))
            if again is not None and (track.seen < self._index or again.level > track.level):
                track.found(self._index, again)
        if track.seen == self._index:
            track.missed, track.sure, track.score = 0, track.level, sighting.score

    def _is_given_up(self, track: Track) -> bool:
        if track.missed < self.tracking.max_missed:
            return False
        is_weak = track.level < _WEAK * self.tracking.min_confidence or self._is_doubtful(track)
        cannot_tell = track.confidence is None or self._landmarker.manifest.decode.face_confidence is None
        return cannot_tell or is_weak

    def _begin(self, rgb: Frame, sighting: Sighting) -> None:
        """Follow a new face, unless there is none or it is followed already."""
        if len(self._tracks) >= self.tracking.max_faces:
            return
        found = self._locate(rgb, self._first_crop(sighting))
        if found is None:
            return
        smoother = OneEuro(self.tracking.smoothing or Smoothing())
        landmarks, confidence, level = found
        born = seen = self._index
        track = Track(self._next_id, landmarks, confidence, sighting.score, level, smoother, born, seen)
        if not any(other.seen == self._index and other.is_same(track) for other in self._tracks):
            self._tracks.append(track)
            self._next_id += 1

    def _first_crop(self, sighting: Sighting) -> Crop:
        return crop_of_box(sighting.landmark_box, self._landmarker.manifest.preprocess.margin)

    def _given_out(self, track: Track) -> TrackedFace:
        landmarks = track.landmarks
        if self.tracking.smoothing is not None:
            landmarks = track.smoother.smooth(landmarks, self._time, side_of(track.box))
        age = self._index - track.born
        return TrackedFace(tight_box(landmarks), track.score, landmarks.copy(), track.confidence, track.id, age)

    def close(self) -> None:
        """Let go of the model, and of the detector if it was opened here. Closing twice is harmless."""
        with self._turn:
            if self._is_open:
                self._is_open = False
                self._finder.close()
                self._landmarker.close()
                self._close_detector()

    def _close_detector(self) -> None:
        if self._owns_detector:
            self._detector.close()

    def __enter__(self) -> FaceTracker:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _is_inside(x: float, y: float, rgb: Frame) -> bool:
    """Whether a point lies in a frame; False for one that is no number."""
    return bool(0 <= x < rgb.shape[1] and 0 <= y < rgb.shape[0])
