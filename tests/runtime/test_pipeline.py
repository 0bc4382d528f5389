"""Capture beside the network: order, dropping, ends, errors and shutdown."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread, active_count
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tiny_models import dotted_frame

from npuface_runtime import Detection, EngineError, FaceTracker, Pipeline, TrackedFrame, UserError
from npuface_runtime.pipeline import Bounded
from npuface_runtime.sources import Frames

FRAME = dotted_frame(160, 120, (70, 50), (95, 70), sigma=4.0)
BOX = (64.0, 44.0, 101.0, 76.0)
WAIT = 20.0
"""Seconds until a test gives up."""


class Seer:
    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        return [Detection(BOX, 1.0)]

    def to_landmark_box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        return box

    def close(self) -> None:
        pass


@pytest.fixture
def tracker(onnx_bundle: Path) -> Iterator[FaceTracker]:
    with FaceTracker(onnx_bundle, Seer()) as tracker:
        yield tracker


class Feed:
    """Frames one at a time, as they are let through."""

    def __init__(self, is_live: bool) -> None:
        self.is_live = is_live
        self.frame_rate = 30.0
        self.given = 0
        self.closed = Event()
        self.until = 0

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        while not self.closed.is_set():
            if self.given < self.until:
                self.given += 1
                yield FRAME
            else:
                time.sleep(0.001)

    def give(self, count: int) -> None:
        """Let that many more through, and wait until they are taken or waiting."""
        self.until += count

    def close(self) -> None:
        self.closed.set()


def wait_for(what: Any) -> None:
    end = time.monotonic() + WAIT
    while not what():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.001)


def test_every_frame_of_a_file_comes_through_in_order(tracker: FaceTracker) -> None:
    with Pipeline([FRAME] * 25, tracker) as pipeline:
        frames = list(pipeline)
        assert list(pipeline) == [], "it stays at its end"
    assert [frame.index for frame in frames] == list(range(25))
    np.testing.assert_allclose([frame.time for frame in frames], np.arange(25) / 30)
    assert [[face.id for face in frame.faces] for frame in frames] == [[0]] * 25
    assert pipeline.dropped == 0


def test_a_slow_network_drops_the_oldest_frames_of_a_camera(tracker: FaceTracker) -> None:
    feed = Feed(is_live=True)
    with Pipeline(feed, tracker, length=2) as pipeline:
        feed.give(10)
        wait_for(lambda: pipeline.dropped == 8)
        assert [next(pipeline).index for _ in range(2)] == [8, 9]
        feed.give(1)
        assert next(pipeline).index == 10
        feed.close()


def test_a_slow_network_holds_up_a_file(tracker: FaceTracker) -> None:
    feed = Feed(is_live=False)
    with Pipeline(feed, tracker, length=2) as pipeline:
        feed.give(10)
        wait_for(lambda: feed.given == 3)
        time.sleep(0.05)
        assert feed.given == 3, "two wait, and one is held up"
        assert [next(pipeline).index for _ in range(10)] == list(range(10))
        assert pipeline.dropped == 0
        feed.close()


def test_an_error_of_the_source_comes_after_the_frames_before_it(tracker: FaceTracker) -> None:
    def breaking() -> Iterator[NDArray[np.uint8]]:
        yield FRAME
        yield FRAME
        raise UserError("the camera is gone", "somebody took it", "look for it")

    with Pipeline(breaking(), tracker) as pipeline:
        assert [next(pipeline).index, next(pipeline).index] == [0, 1]
        with pytest.raises(UserError, match="somebody took it"):
            next(pipeline)
        assert list(pipeline) == []


def test_an_error_that_is_a_fault_comes_as_it_is(tracker: FaceTracker) -> None:
    def faulty() -> Iterator[NDArray[np.uint8]]:
        yield FRAME
        raise ZeroDivisionError("a fault")

    with Pipeline(faulty(), tracker) as pipeline, pytest.raises(ZeroDivisionError, match="a fault"):
        list(pipeline)


class Flaky:
    """A tracker whose engine fails on every third frame."""

    def __init__(self, tracker: FaceTracker) -> None:
        self.tracking = tracker.tracking
        self._tracker = tracker
        self._calls = 0

    def track(self, frame: NDArray[np.uint8], now: float) -> Any:
        self._calls += 1
        if self._calls % 3 == 0:
            raise EngineError("the engine failed", f"call {self._calls}", "try again")
        return self._tracker.track(frame, now)


def test_engine_errors_are_reported_and_it_goes_on(tracker: FaceTracker) -> None:
    told: list[EngineError] = []
    with Pipeline([FRAME] * 9, Flaky(tracker), on_error=told.append) as pipeline:  # type: ignore[arg-type]
        frames = list(pipeline)
    assert [frame.index for frame in frames] == [0, 1, 3, 4, 6, 7]
    assert [error.why for error in told] == ["call 3", "call 6", "call 9"]


def test_without_a_listener_engine_errors_are_raised_and_iteration_may_go_on(tracker: FaceTracker) -> None:
    with Pipeline([FRAME] * 5, Flaky(tracker)) as pipeline:  # type: ignore[arg-type]
        assert [next(pipeline).index, next(pipeline).index] == [0, 1]
        with pytest.raises(EngineError, match="call 3"):
            next(pipeline)
        assert [frame.index for frame in pipeline] == [3, 4]


def test_closing_ends_the_thread_while_frames_are_waiting(tracker: FaceTracker) -> None:
    before = active_count()
    for is_live in (True, False):
        feed = Feed(is_live)
        pipeline = Pipeline(feed, tracker)
        feed.give(10**9)
        assert isinstance(next(pipeline), TrackedFrame)
        pipeline.close()
        pipeline.close()
        assert active_count() == before
        assert list(pipeline) == []
        assert not feed.closed.is_set(), "the caller's source stays the caller's"


def test_closing_from_another_thread_ends_the_iteration(tracker: FaceTracker) -> None:
    feed = Feed(is_live=True)
    pipeline = Pipeline(feed, tracker)
    closer = Thread(target=lambda: (time.sleep(0.05), feed.close(), pipeline.close()))
    closer.start()
    assert list(pipeline) == []
    closer.join(WAIT)


def test_with_the_detector_beside_nothing_is_lost(onnx_bundle: Path) -> None:
    with (
        FaceTracker(onnx_bundle, Seer(), beside=True) as tracker,
        Pipeline(Frames([FRAME] * 400), tracker) as pipeline,
    ):
        frames = list(pipeline)
    assert [frame.index for frame in frames] == list(range(400))
    assert {face.id for frame in frames for face in frame.faces} == {0}


@pytest.mark.parametrize("length", [0, -1, True, 1.5])
def test_a_length_that_is_none_is_refused(tracker: FaceTracker, length: Any) -> None:
    with pytest.raises(UserError, match="frames wait"):
        Pipeline([FRAME], tracker, length=length)


def test_the_queue_ends_with_the_error_that_closed_it_first() -> None:
    queue: Bounded[int] = Bounded(2, drop_oldest=False)
    assert queue.put(1)
    queue.close(ValueError("first"))
    queue.close(ValueError("second"))
    assert not queue.put(2)
    assert queue.get() == 1
    with pytest.raises(ValueError, match="first"):
        queue.get()
    with pytest.raises(StopIteration):
        queue.get()
