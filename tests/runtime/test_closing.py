"""Closing and exchanging while something runs: it is waited for, and nothing is opened that nobody closes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tracked_dots import Open, Seer, ids, picture

from npuface_runtime import Detection, FaceAligner, FaceTracker, Pipeline, UserError
from npuface_runtime.engines import Session, TensorSpec
from npuface_runtime.landmarker import Landmarker

WAIT = 20.0
FRAME = picture([(100, 100)])


class Held(Seer):
    """Looks until it is let go; notes what happened in which order."""

    def __init__(self, *places: tuple[float, float]) -> None:
        super().__init__(*places)
        self.is_looking, self.go = Event(), Event()
        self.notes: list[str] = []

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        self.is_looking.set()
        assert self.go.wait(WAIT)
        self.notes.append("seen")
        return super().detect(frame)

    def close(self) -> None:
        self.notes.append("closed")


def joined(*threads: Thread) -> None:
    for thread in threads:
        thread.join(WAIT)
        assert not thread.is_alive()


def test_a_session_that_is_closed_while_it_checks_its_input_ends_that_run(monkeypatch: pytest.MonkeyPatch) -> None:
    spec = TensorSpec("picture", (1,), "float32")
    session = Session("an engine", spec, [spec], lambda picture: [picture], ())
    monkeypatch.setattr(session, "_check", lambda picture: session.close())
    assert session.run(np.ones(1, np.float32)) == [1]
    with pytest.raises(UserError, match="its session is closed"):
        session.run(np.ones(1, np.float32))


def test_closing_an_aligner_waits_for_its_detector(onnx_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    held = Held()
    monkeypatch.setattr("npuface_runtime.aligner.open_detector", lambda name, threads: held)
    aligner = FaceAligner(onnx_bundle, "a detector of its own")
    found: list[Any] = []

    def late() -> None:
        try:
            found.append(aligner.align(FRAME))
        except UserError as error:
            found.append(error.why)

    working = Thread(target=late)
    working.start()
    assert held.is_looking.wait(WAIT)
    closing = Thread(target=aligner.close)
    closing.start()
    closing.join(0.1)
    assert closing.is_alive()
    assert held.notes == []
    held.go.set()
    joined(working, closing)
    assert held.notes == ["seen", "closed"]
    assert found == [[]]
    late()
    assert found[1:] == ["this FaceAligner is closed"]


def test_who_waits_for_the_detector_of_a_closed_aligner_is_told(onnx_bundle: Path) -> None:
    held = Held()
    aligner = FaceAligner(onnx_bundle, held)
    told: list[str] = []

    def late() -> None:
        try:
            aligner.align(FRAME)
        except UserError as error:
            told.append(error.why)

    with aligner._detecting:
        waiting = Thread(target=late)
        waiting.start()
        time.sleep(0.05)
        aligner._is_open = False
    joined(waiting)
    assert told == ["this FaceAligner is closed"]
    assert held.looked == 0


def opened_sessions(monkeypatch: pytest.MonkeyPatch) -> list[Session]:
    """Sessions that are opened from now on by a Landmarker."""
    from npuface_runtime import landmarker

    real, sessions = landmarker.open_bundle, []

    def noted(*arguments: Any) -> Any:
        manifest, session = real(*arguments)
        sessions.append(session)
        return manifest, session

    monkeypatch.setattr(landmarker, "open_bundle", noted)
    return sessions


def test_what_is_closed_does_not_go_on_with_another_bundle(onnx_bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sessions = opened_sessions(monkeypatch)
    landmarker, tracker = Landmarker(onnx_bundle), FaceTracker(onnx_bundle, Seer())
    for each in (landmarker, tracker):
        each.close()
        with pytest.raises(UserError, match=r"cannot go on with the bundle .* is closed"):
            each.swap(onnx_bundle)
    assert len(sessions) == 4
    assert all(session._infer is None for session in sessions)


def test_a_bundle_is_exchanged_between_frames(onnx_bundle: Path, open_tracker: Open) -> None:
    held = Held((100, 100))
    tracker = open_tracker(held)
    faces: list[Any] = []
    working = Thread(target=lambda: faces.extend(tracker.track(FRAME)))
    working.start()
    assert held.is_looking.wait(WAIT)
    before = tracker._landmarker.manifest
    swapping = Thread(target=tracker.swap, args=(onnx_bundle,))
    swapping.start()
    swapping.join(0.3)
    assert swapping.is_alive()
    assert tracker._landmarker.manifest is before, "a frame sees one bundle throughout"
    held.go.set()
    joined(working, swapping)
    assert ids(faces) == [0]
    assert tracker._landmarker.manifest is not before


class SlowCamera:
    """Comes back from a read when it is let go."""

    is_live = True
    frame_rate = 30.0

    def __init__(self) -> None:
        self.go, self.is_closed, self.is_reading = Event(), Event(), False

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        yield FRAME
        self.is_reading = True
        assert self.go.wait(WAIT)
        self.is_reading = False
        yield FRAME

    def close(self) -> None:
        assert not self.is_reading
        self.is_closed.set()


def test_a_camera_that_is_slow_to_read_is_closed_once_it_comes_back(
    open_tracker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    camera = SlowCamera()
    monkeypatch.setattr("npuface_runtime.pipeline.open_source", lambda name: camera)
    monkeypatch.setattr("npuface_runtime.pipeline._PATIENCE", 0.05)
    pipeline = Pipeline("camera", open_tracker(Seer((100, 100))))
    assert ids(next(pipeline).faces) == [0]
    pipeline.close()
    assert not camera.is_closed.is_set()
    camera.go.set()
    assert camera.is_closed.wait(WAIT)
    joined(pipeline._thread)
