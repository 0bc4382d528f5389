"""Doubt, engines and detectors that fail or are slow, several threads."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from threading import Event, Thread, Timer
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import write_manifest
from tracked_dots import TOLERANCE, Open, Places, Seer, at, ids, picture

from npuface_runtime import (
    Detection,
    EngineError,
    FaceAligner,
    FaceTracker,
    TrackedFace,
    Tracking,
)
from npuface_runtime.manifest import FILE_NAME


def fade(tracker: FaceTracker, monkeypatch: pytest.MonkeyPatch, share: float | None) -> None:
    """The network from now on says that share of its confidence; None: it has none."""
    locate = tracker._landmarker.locate

    def faded(*arguments: Any) -> tuple[NDArray[np.float32], NDArray[np.float32] | None]:
        landmarks, confidence = locate(*arguments)
        assert confidence is not None
        return landmarks, None if share is None else confidence * np.float32(share)

    monkeypatch.setattr(tracker._landmarker, "locate", faded)


def test_a_doubtful_face_is_looked_at_again(open_tracker: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(search_every=2))
    frame = picture([(100, 100)])
    for _ in range(5):
        tracker.track(frame)
    assert seer.looked == 1
    fade(tracker, monkeypatch, 0.55)
    tracker.track(frame)
    assert seer.looked == 2, "doubt"
    for _ in range(5):
        assert ids(tracker.track(frame)) == [0]
    assert seer.looked == 2, "the detector saw it: that is how sure this face can be"


def test_a_doubtful_face_that_the_detector_does_not_see_is_dropped(
    open_tracker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(search_every=1, max_missed=2))
    frame = picture([(100, 100)])
    tracker.track(frame)
    fade(tracker, monkeypatch, 0.55)
    seer.places = []
    assert [ids(tracker.track(frame)) for _ in range(3)] == [[0], [], []]


def test_a_sure_face_that_the_detector_does_not_see_stays(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(detect_every=1))
    frame = picture([(100, 100)])
    tracker.track(frame)
    seer.places = []
    assert [ids(tracker.track(frame)) for _ in range(6)] == [[0]] * 6


def test_without_confidence_the_detector_decides(open_tracker: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(detect_every=1, max_missed=3))
    fade(tracker, monkeypatch, None)
    frame = picture([(100, 100)])
    (face,) = tracker.track(frame)
    assert face.confidence is None
    seer.places = []
    assert [ids(tracker.track(frame)) for _ in range(4)] == [[0], [0], [], []]


def saying(onnx_bundle: Path, folder: Path, face_confidence: float | None) -> Path:
    """The bundle, with another confidence of a clear face."""
    raw = json.loads((onnx_bundle / FILE_NAME).read_text())
    raw["decode"]["face_confidence"] = face_confidence
    shutil.copytree(onnx_bundle, folder)
    write_manifest(folder, raw)
    return folder


@pytest.mark.parametrize(("face_confidence", "found"), [(0.8, [0]), (1.0, [])])
def test_confidence_is_read_on_the_scale_of_the_bundle(
    onnx_bundle: Path, tmp_path: Path, face_confidence: float, found: list[int]
) -> None:
    bundle = saying(onnx_bundle, tmp_path / "bundle", face_confidence)
    with FaceTracker(bundle, Seer((100, 100)), tracking=Tracking(min_confidence=0.95)) as tracker:
        assert ids(tracker.track(picture([(100, 100)]))) == found


def test_where_the_bundle_does_not_say_how_sure_a_face_is_the_detector_decides(
    onnx_bundle: Path, tmp_path: Path
) -> None:
    seer, frame = Seer((100, 100)), picture([(100, 100)])
    bundle = saying(onnx_bundle, tmp_path / "bundle", None)
    with FaceTracker(bundle, seer, tracking=Tracking(detect_every=1, max_missed=3)) as tracker:
        assert ids(tracker.track(frame)) == [0]
        seer.places = []
        assert [ids(tracker.track(frame)) for _ in range(4)] == [[0], [0], [], []]


def test_after_an_engine_error_it_goes_on(open_tracker: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = open_tracker(Seer((100, 100)))
    frame = picture([(100, 100)])
    tracker.track(frame)

    def broken(*arguments: Any) -> None:
        raise EngineError("the engine failed", "out of luck", "try again")

    with monkeypatch.context() as patch:
        patch.setattr(tracker._landmarker, "locate", broken)
        with pytest.raises(EngineError, match="out of luck"):
            tracker.track(frame)
    assert ids(tracker.track(frame)) == [0]


class SlowSeer(Seer):
    """Looks for as long as it is told to wait."""

    def __init__(self, *places: tuple[float, float]) -> None:
        super().__init__(*places)
        self.go = Event()

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        places, found = list(self.places), super().detect(frame)
        assert self.go.wait(20)
        assert places == self.places or not places
        return found


def until(tracker: FaceTracker, frame: NDArray[np.uint8]) -> list[TrackedFace]:
    """Track the same frame until there are faces."""
    for _ in range(2000):
        if faces := tracker.track(frame):
            return faces
    raise AssertionError("no face came")


def test_a_detector_beside_does_not_hold_up_frames(open_tracker: Open) -> None:
    seer = SlowSeer((100, 100))
    tracker = open_tracker(seer, beside=True)
    for i in range(8):
        assert tracker.track(picture([(100 + i, 100)])) == []
    assert tracker.detections == 1
    seer.go.set()
    until(tracker, picture([(108, 100)]))
    for _ in range(4):
        (face,) = tracker.track(picture([(108, 100)]))
    np.testing.assert_allclose(face.landmarks, at((108, 100)), atol=TOLERANCE)


def test_a_detector_beside_is_waited_for_when_it_is_too_late(open_tracker: Open) -> None:
    """A file's frames come so fast that all would be over before the detector has seen one."""
    seer = SlowSeer((100, 100))
    tracker = open_tracker(seer, beside=True, tracking=Tracking(max_lag=5))
    frame = picture([(100, 100)])
    for _ in range(5):
        assert tracker.track(frame) == []
    Timer(0.1, seer.go.set).start()
    assert ids(tracker.track(frame)) == [0]


def test_what_was_seen_before_a_cut_is_forgotten(open_tracker: Open) -> None:
    seer = SlowSeer((100, 100))
    tracker = open_tracker(seer, beside=True)
    tracker.track(picture([(100, 100)], scene=1))
    tracker.track(picture([(100, 100)], scene=2))
    seer.go.set()
    assert ids(until(tracker, picture([(100, 100)], scene=2))) == [0]
    assert tracker.detections >= 2, "it looked at the new scene too"


def test_an_error_of_a_detector_beside_reaches_the_caller(open_tracker: Open) -> None:
    class Broken(Seer):
        def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
            raise EngineError("the detector failed", "no more eyes", "get others")

    tracker = open_tracker(Broken(), beside=True)
    with pytest.raises(EngineError, match="no more eyes"):
        until(tracker, picture([]))


def test_several_threads_may_share_an_aligner_and_a_tracker(onnx_bundle: Path, open_tracker: Open) -> None:
    places: Places = [(80 + 20 * i, 100) for i in range(16)]
    frames = [picture([place]) for place in places]
    tracker = open_tracker(Seer(places[0]))
    wrong: list[Exception] = []
    followed: list[int] = []
    with FaceAligner(onnx_bundle, Seer()) as aligner:

        def work() -> None:
            try:
                for frame, (x, y) in zip(frames, places, strict=True):
                    (face,) = aligner.align(frame, boxes=[(x - 24, y - 18, x + 22, y + 17)])
                    np.testing.assert_allclose(face.landmarks, at((x, y)), atol=TOLERANCE)
                    tracker.track(frame)
                    followed.append(1)
            except Exception as error:
                wrong.append(error)

        threads = [Thread(target=work, daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert not any(thread.is_alive() for thread in threads), "they hang"
    assert wrong == []
    assert len(followed) == 4 * len(frames)


class Dreamer(Seer):
    """Sees what it is told to dream."""

    def __init__(self, boxes: list[tuple[float, float, float, float]]) -> None:
        super().__init__()
        self.boxes = boxes

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        return [Detection(box, 0.5) for box in self.boxes]


EDGE = st.floats(-1e4, 1e4) | st.sampled_from([float("nan"), float("inf"), -1e30, 0.0, 1e-30])
DREAM = st.lists(st.tuples(EDGE, EDGE, EDGE, EDGE) | st.just((76.0, 82.0, 122.0, 117.0)), max_size=4)
SIZES = st.tuples(st.integers(1, 300), st.integers(1, 300))


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(film=st.lists(st.tuples(SIZES, DREAM, st.integers(0, 3)), min_size=1, max_size=6))
def test_whatever_the_detector_dreams_there_is_an_answer(
    open_tracker: Open, film: list[tuple[tuple[int, int], list[tuple[float, float, float, float]], int]]
) -> None:
    dreamer = Dreamer([])
    tracker = open_tracker(dreamer, tracking=Tracking(detect_every=1, min_confidence=0))
    face = picture([(100, 100)])
    for (height, width), boxes, kind in film:
        dreamer.boxes = boxes
        frame = face if kind == 0 else np.random.default_rng(kind).integers(0, 255, (height, width, 3)).astype(np.uint8)
        faces = tracker.track(frame)
        assert len(set(ids(faces))) == len(faces)
        assert all(np.isfinite(face.landmarks).all() for face in faces)
    tracker.close()


def test_a_smaller_frame_does_not_stop_it(open_tracker: Open) -> None:
    tracker = open_tracker(Seer((400, 200)))
    assert ids(tracker.track(picture([(400, 200)]))) == [0]
    assert tracker.track(picture([])[:20, :10]) == []
    assert tracker.track(picture([])[:1, :1]) == []
