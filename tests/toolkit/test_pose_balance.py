"""Turned faces are found by their shape alone, and repeated where they are rare."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from npuface_toolkit.faces import Face
from npuface_toolkit.pose_balance import asymmetry, balanced
from npuface_toolkit.schemes import IBUG_68

Floats = NDArray[np.float32]


def _face(yaw: float, seed: int = 0) -> Floats:
    """A solid symmetric face, turned by degrees about the vertical axis and seen from afar."""
    rng = np.random.default_rng(seed)
    x, y, z = rng.uniform(20, 100, 68), rng.uniform(-100, 100, 68), rng.uniform(-50, 50, 68)
    for point, other in enumerate(IBUG_68.flip):
        if point == other:
            x[point] = 0
        elif point > other:
            x[point], y[point], z[point] = -x[other], y[other], z[other]
    angle = np.deg2rad(yaw)
    return np.stack([x * np.cos(angle) + z * np.sin(angle), y], axis=1).astype(np.float32)


def _faces(yaws: list[float]) -> list[Face]:
    return [Face(Path(f"{number}.png"), _face(yaw), str(number)) for number, yaw in enumerate(yaws)]


def test_it_grows_with_the_turn_and_is_none_without() -> None:
    assert asymmetry(_face(0), IBUG_68) < 1e-6
    turns = [asymmetry(_face(yaw), IBUG_68) for yaw in (5, 15, 30, 45)]
    assert turns == sorted(turns)
    assert turns[0] > 0.01


@given(st.floats(-180, 180), st.floats(0.1, 10), st.floats(-500, 500), st.booleans())
def test_place_size_roll_and_side_do_not_matter(roll: float, size: float, place: float, mirrored: bool) -> None:
    points, angle = _face(25.0), np.deg2rad(roll)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    moved = size * points @ turn.T + place
    if mirrored:
        moved = moved[list(IBUG_68.flip)] * [-1, 1]
    assert asymmetry(moved.astype(np.float32), IBUG_68) == pytest.approx(asymmetry(points, IBUG_68), abs=1e-3)


def test_rare_poses_are_repeated_next_to_each_other_and_no_face_is_lost() -> None:
    faces = _faces([0.0] * 12 + [20.0] * 4 + [40.0])
    shown = balanced(faces, IBUG_68, 5)
    times = Counter(face.identity for face in shown)
    assert [times[str(number)] for number in range(17)] == [1] * 12 + [3] * 4 + [5]
    assert list(dict.fromkeys(face.identity for face in shown)) == [face.identity for face in faces]
    assert [face.identity for face in shown] == sorted((face.identity for face in shown), key=int)


@pytest.mark.parametrize("faces", [_faces([0, 10, 40]), _faces([30]), []], ids=len)
def test_one_time_at_most_changes_nothing(faces: list[Face]) -> None:
    assert balanced(faces, IBUG_68, 1) == faces


def test_faces_of_one_pose_stay_as_they_are() -> None:
    faces = _faces([15.0] * 6)
    assert balanced(faces, IBUG_68, 4) == faces
