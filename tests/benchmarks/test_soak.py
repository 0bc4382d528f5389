"""The film is what it says, and the judge of a tracker sees every kind of bad tracker."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from itertools import islice, pairwise

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_benchmarks.film import Portrait, Shot, film
from npuface_benchmarks.soak import Soak, soak, who_is_who
from npuface_runtime import TrackedFace, UserError

Picture = NDArray[np.uint8]
POINTS = np.array([(30, 30), (70, 30), (50, 80)], np.float32)
EYES = (0, 1)
FRAMES = 400


@pytest.fixture(scope="module")
def portraits() -> list[Portrait]:
    """Black pictures with a white dot at each landmark."""
    picture = np.zeros((110, 100, 3), np.uint8)
    for x, y in POINTS:
        cv2.circle(picture, (int(x), int(y)), 4, (255, 255, 255), cv2.FILLED)
    return [Portrait(picture, POINTS)]


@pytest.fixture(scope="module")
def shots(portraits: list[Portrait]) -> list[Shot]:
    """A film without its pictures: nothing but the judge takes time. Its pictures are looked at on the way."""
    blank, shots = np.zeros((4, 4, 3), np.uint8), []
    for shot in film(portraits, FRAMES):
        assert shot.frame.dtype == np.uint8
        shots.append(replace(shot, frame=blank))
    return shots


def test_the_film_has_scenes_without_and_with_several_faces(shots: list[Shot]) -> None:
    assert len(shots) == FRAMES
    assert {len(shot.faces) for shot in shots} >= {0, 1, 2}
    for actor in {actor for shot in shots for actor in shot.faces}:
        assert len({shot.scene for shot in shots if actor in shot.faces}) == 1, "an actor plays in one scene"


def test_the_landmarks_lie_on_the_portraits(portraits: list[Portrait]) -> None:
    """In the middle of each landmark the picture is as white as the light allows."""
    for shot in islice(film(portraits, 120, 1), 0, None, 20):
        assert shot.faces
        for points in shot.faces.values():
            for x, y in np.rint(points).astype(int):
                assert shot.frame[y, x].mean() > 150


def test_scenes_differ_in_size(portraits: list[Portrait]) -> None:
    firsts = {shot.scene: shot.frame.shape for shot in film(portraits, 350, 2)}
    assert len(set(firsts.values())) > 1


def test_the_same_film_twice(portraits: list[Portrait]) -> None:
    for a, b in zip(film(portraits, 30, 3), film(portraits, 30, 3), strict=True):
        np.testing.assert_array_equal(a.frame, b.frame)
    other = next(film(portraits, 1, 4)).frame
    first = next(film(portraits, 1, 3)).frame
    assert other.shape != first.shape or (other != first).any()


def test_faces_do_not_cross(shots: list[Shot]) -> None:
    assert any(len(shot.faces) > 1 for shot in shots)
    for shot in shots:
        middles = sorted(points.mean(axis=0)[0] for points in shot.faces.values())
        sides = [np.ptp(points, axis=0).max() for points in shot.faces.values()]
        assert all(b - a > 0.8 * max(sides) for a, b in pairwise(middles))


class Oracle:
    """Knows the film; finds what is in it, with faults as asked."""

    def __init__(self, shots: Sequence[Shot], *, seconds: float = 0.0, swap_at: int = -1, off: float = 0.0) -> None:
        self._shots = iter(shots)
        self._frame, self._seconds, self._swap_at, self._off = 0, seconds, swap_at, off

    def __call__(self, frame: Picture) -> list[TrackedFace]:
        shot = next(self._shots)
        self._frame += 1
        end = time.process_time() + self._seconds
        while time.process_time() < end:
            pass
        ids = list(shot.faces)
        if self._frame > self._swap_at > 0:
            ids = ids[::-1]
        return [
            TrackedFace((0, 0, 1, 1), 1.0, points + self._off, None, i, 0)
            for i, points in zip(ids, shot.faces.values(), strict=True)
        ]


def judge(shots: Sequence[Shot], track: Oracle, detect: Oracle) -> Soak:
    return soak(shots, track, detect, EYES, compare_every=1)


def test_a_good_tracker_passes(shots: list[Shot]) -> None:
    result = judge(shots, Oracle(shots, seconds=0.0003, off=0.5), Oracle(shots, seconds=0.002, off=0.5))
    assert result.failures() == []
    assert (result.swapped, result.changes, result.strangers) == (0, 0, 0)
    assert result.tracked_share == result.detected_share == 1
    assert result.tracked_nme == pytest.approx(result.detected_nme)
    assert 3 < result.speedup < 9
    assert result.frames == FRAMES
    assert result.as_json()["actors"] == result.actors == len({a for shot in shots for a in shot.faces})


def test_a_slow_tracker_fails(shots: list[Shot]) -> None:
    (why,) = judge(shots, Oracle(shots, seconds=0.001), Oracle(shots, seconds=0.001, off=1.0)).failures()
    assert "times as fast, under 3" in why


def test_a_tracker_that_swaps_ids_or_is_off_fails(shots: list[Shot]) -> None:
    crowded = [i for i, shot in enumerate(shots) if len(shot.faces) > 1]
    track = Oracle(shots, swap_at=crowded[len(crowded) // 2], off=2.0)
    result = judge(shots, track, Oracle(shots, seconds=0.001, off=1.0))
    assert result.swapped > 0
    assert result.changes > 0
    assert [why.split(" ids")[0].split(" is ")[0] for why in result.failures()] == [str(result.swapped), "its NME"]


def test_a_tracker_that_keeps_every_frame_fails(shots: list[Shot]) -> None:
    kept: list[NDArray[np.uint8]] = []

    class Hoarder(Oracle):
        def __call__(self, frame: Picture) -> list[TrackedFace]:
            kept.append(np.ones((100, 100, 100), np.uint8))
            return super().__call__(frame)

    result = judge(shots, Hoarder(shots), Oracle(shots, seconds=0.001, off=1.0))
    assert any(why.startswith("memory grew by") for why in result.failures())


def test_a_film_that_is_too_short_is_refused(shots: list[Shot]) -> None:
    with pytest.raises(UserError, match="cannot judge a film of 100 frames"):
        judge(shots[:100], Oracle(shots), Oracle(shots))


def test_who_is_who_takes_the_nearest_once() -> None:
    def face(x: float) -> TrackedFace:
        return TrackedFace((0, 0, 1, 1), 1.0, POINTS + np.float32(x), None, 0, 0)

    assert who_is_who([face(8), face(2), face(500)], {7: POINTS}) == {7: 1}
    assert who_is_who([face(100), face(0)], {1: POINTS, 2: POINTS + 100}) == {1: 1, 2: 0}
    assert who_is_who([], {1: POINTS}) == who_is_who([face(0)], {}) == {}
