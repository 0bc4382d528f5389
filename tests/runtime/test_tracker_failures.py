"""A frame on which the engine fails does not count: the frames after it are as if it had never come."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tracked_dots import TOLERANCE, Open, Seer, at, ids, picture

from npuface_runtime import Detection, EngineError, FaceTracker, Tracking


@contextmanager
def failing(tracker: FaceTracker, monkeypatch: pytest.MonkeyPatch, call: int) -> Iterator[None]:
    """The network fails when it is called for that time, and from then on."""
    locate, left = tracker._landmarker.locate, [call]

    def breaking(*arguments: Any) -> Any:
        left[0] -= 1
        if left[0] <= 0:
            raise EngineError("the engine failed", "out of luck", "try again")
        return locate(*arguments)

    with monkeypatch.context() as patch:
        patch.setattr(tracker._landmarker, "locate", breaking)
        yield


def fail_on(tracker: FaceTracker, monkeypatch: pytest.MonkeyPatch, frame: NDArray[np.uint8], call: int = 1) -> None:
    with failing(tracker, monkeypatch, call), pytest.raises(EngineError, match="out of luck"):
        tracker.track(frame)


def test_a_face_before_the_one_that_failed_is_not_given_out_as_seen(
    open_tracker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    tracker = open_tracker(Seer((100, 100), (300, 100)), tracking=Tracking(detect_every=100, smoothing=None))
    assert ids(tracker.track(picture([(100, 100), (300, 100)]))) == [0, 1]
    fail_on(tracker, monkeypatch, picture([(101, 100), (301, 100)]), call=2)
    first, second = tracker.track(picture([(102, 100), (302, 100)]))
    np.testing.assert_allclose(first.landmarks, at((102, 100)), atol=TOLERANCE)
    np.testing.assert_allclose(second.landmarks, at((302, 100)), atol=TOLERANCE)
    assert (first.age, second.age) == (1, 1)


def test_a_face_that_left_after_a_failure_is_not_given_out(open_tracker: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    seer = Seer((100, 100), (300, 100))
    tracker = open_tracker(seer, tracking=Tracking(detect_every=100, smoothing=None))
    tracker.track(picture([(100, 100), (300, 100)]))
    fail_on(tracker, monkeypatch, picture([(100, 100), (300, 100)]), call=2)
    seer.places = [(300, 100)]
    assert ids(tracker.track(picture([(300, 100)]))) == [1]


def test_what_the_detector_saw_in_a_frame_that_failed_is_seen_in_the_next(
    open_tracker: Open, monkeypatch: pytest.MonkeyPatch
) -> None:
    seer = Seer((100, 100), (300, 100))
    tracker, frame = open_tracker(seer), picture([(100, 100), (300, 100)])
    for call in (1, 2):
        fail_on(tracker, monkeypatch, frame, call)
    assert ids(tracker.track(frame)) == [0, 1]
    assert seer.looked == 3


def test_what_a_detector_beside_saw_is_looked_for_again(open_tracker: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    tracker = open_tracker(Seer((100, 100)), beside=True, tracking=Tracking(max_lag=1))
    frame = picture([(100, 100)])
    with failing(tracker, monkeypatch, 1), pytest.raises(EngineError):
        list(tracker.run([frame] * 3))
    assert any(ids(faces) == [0] for faces in tracker.run([frame] * 3))


def test_a_cut_on_a_frame_that_failed_is_a_cut_on_the_next(open_tracker: Open, monkeypatch: pytest.MonkeyPatch) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer)
    assert ids(tracker.track(picture([(100, 100)], scene=1))) == [0]
    fail_on(tracker, monkeypatch, picture([(100, 100)], scene=2))
    assert ids(tracker.track(picture([(100, 100)], scene=2))) == [1], "another scene, another face"
    assert seer.looked == 3


def test_a_detector_that_raises_what_it_should_not_loses_nobody(open_tracker: Open) -> None:
    class Faulty(Seer):
        def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
            found = super().detect(frame)
            if self.looked == 2:
                raise ZeroDivisionError
            return found

    tracker, frame = open_tracker(Faulty((100, 100)), tracking=Tracking(detect_every=1)), picture([(100, 100)])
    assert ids(tracker.track(frame)) == [0]
    with pytest.raises(ZeroDivisionError):
        tracker.track(frame)
    (face,) = tracker.track(frame)
    assert (face.id, face.age) == (0, 1)
