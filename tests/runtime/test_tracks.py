"""Which detection is which face, which two are one, and where a face is looked for next."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npuface_runtime import Smoothing, box_of_points, crop_of_box
from npuface_runtime.smoothing import OneEuro
from npuface_runtime.tracks import EYE_CORNERS, Located, Track, associate, next_crop
from npuface_toolkit.schemes import IBUG_68, WFLW_98

BOXES = [(0.0, 0.0, 100.0, 100.0), (200.0, 0.0, 300.0, 100.0), (0.0, 200.0, 60.0, 260.0)]


def track(landmarks: list[list[float]], id: int = 0, index: int = 1) -> Track:
    return Track(id, np.array(landmarks, np.float32), None, 1.0, 1.0, OneEuro(Smoothing()), index, index)


@settings(max_examples=60, deadline=None)
@given(
    order=st.permutations(range(3)), shift=st.tuples(st.floats(-20, 20), st.floats(-20, 20)), scale=st.floats(0.7, 1.4)
)
def test_every_face_finds_its_own_detection(order: list[int], shift: tuple[float, float], scale: float) -> None:
    seen = []
    for i in order:
        x0, y0, x1, y1 = BOXES[i]
        x, y, w, h = (x0 + x1) / 2 + shift[0], (y0 + y1) / 2 + shift[1], (x1 - x0) * scale, (y1 - y0) * scale
        seen.append((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    assert sorted(associate(BOXES, seen)) == [(i, order.index(i)) for i in range(3)]


def test_a_box_is_used_once_and_goes_to_the_nearest() -> None:
    near, nearer = (10.0, 0.0, 110.0, 100.0), (2.0, 0.0, 102.0, 100.0)
    assert associate(BOXES[:1], [near, nearer]) == [(0, 1)]
    assert associate([near, nearer], BOXES[:1]) == [(1, 0)]


@pytest.mark.parametrize("other", [(200.0, 0.0, 300.0, 100.0), (90.0, 90.0, 190.0, 190.0), (40.0, 40.0, 60.0, 60.0)])
def test_boxes_apart_or_of_other_sizes_are_other_faces(other: tuple[float, float, float, float]) -> None:
    assert associate(BOXES[:1], [other]) == []


def test_nothing_belongs_to_nothing() -> None:
    assert associate([], BOXES) == associate(BOXES, []) == associate([], []) == []


def test_two_tracks_on_one_face_are_one() -> None:
    face = [[0.0, 0.0], [100.0, 40.0], [50.0, 100.0]]
    assert track(face).is_same(track([[x + 5, y - 5] for x, y in face]))
    assert not track(face).is_same(track([[x + 40, y] for x, y in face]))
    assert not track(face).is_same(track([[50.0, 50.0], [52.0, 51.0], [51.0, 53.0]]))


def test_a_track_remembers_where_it_was() -> None:
    face = track([[0.0, 0.0], [10.0, 10.0]], index=1)
    for index in range(2, 100):
        face.found(index, Located(face.landmarks + 1, None, 1.0))
    assert face.box_at(99) == face.box == (98.0, 98.0, 108.0, 108.0)
    assert face.box_at(60) == (59.0, 59.0, 69.0, 69.0)
    assert face.box_at(1) == (35.0, 35.0, 45.0, 45.0), "the oldest of 64 that are remembered"


def test_the_eyes_are_the_schemes_own() -> None:
    assert {scheme.name: scheme.eye_corners for scheme in (IBUG_68, WFLW_98)} == EYE_CORNERS


@pytest.mark.parametrize("degrees", [-170, -40, -16, 0, 10, 16, 30, 90])
def test_the_crop_turns_with_a_leaning_face(degrees: float) -> None:
    rng = np.random.default_rng(3)
    upright = rng.uniform(-50, 50, (68, 2)).astype(np.float32)
    upright[36], upright[45] = (-40, -10), (40, -10)
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    crop = next_crop((upright @ turn.T + (300, 200)).astype(np.float32), 1.3, "ibug-68")
    straight = crop_of_box(box_of_points(upright), 1.3)
    if abs(degrees) < 15:
        assert crop.angle == 0
    else:
        assert crop.angle == pytest.approx(angle, abs=1e-4)
        assert crop.side == pytest.approx(straight.side, rel=1e-4)
        assert (crop.x, crop.y) == pytest.approx(turn @ (straight.x, straight.y) + (300, 200), abs=1e-2)


def test_a_scheme_whose_eyes_are_not_known_is_cut_out_upright() -> None:
    points = np.array([[0.0, 0.0], [50.0, 50.0]], np.float32)
    assert next_crop(points, 1.3, "dots-2") == crop_of_box(box_of_points(points), 1.3)
