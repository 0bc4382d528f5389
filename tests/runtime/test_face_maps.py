"""The host half of the detector: against a loop over the cells, and on anything that a network may return."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from npuface_runtime.detectors.face_maps import MapsInfo, faces_of

INFO = MapsInfo(6, 8, 8, 32.0, 4.0)


def empty() -> NDArray[np.float32]:
    maps = np.zeros((6, 8, 5), np.float32)
    maps[..., 0] = -8
    return maps


def test_a_cell_is_decoded_as_the_definition_says() -> None:
    maps = empty()
    maps[2, 3] = (1.5, 2.0, -1.0, 4 * math.log(1.5), 4 * math.log(0.75))
    (face,) = faces_of(maps, INFO, 2.5, 0.5)
    x, y = (3 + 0.5 + 2.0 / 4) * 8, (2 + 0.5 - 1.0 / 4) * 8
    wanted = [(x - 24) * 2.5 - 0.5, (y - 12) * 2.5 - 0.5, (x + 24) * 2.5 - 0.5, (y + 12) * 2.5 - 0.5]
    np.testing.assert_allclose(face.box, wanted, atol=1e-3)
    assert math.isclose(face.score, 1 / (1 + math.exp(-1.5)), rel_tol=1e-5)


def test_neighbours_that_see_the_same_face_are_one_and_the_surest_leads() -> None:
    maps = empty()
    maps[1, 1, 0], maps[1, 2, 0], maps[4, 6, 0] = 1.0, 2.0, 3.0
    maps[1, 2, 1] = -4.0  # a cell to the left: the same box
    faces = faces_of(maps, INFO, 1.0, 0.5)
    assert [round(face.score, 3) for face in faces] == [0.953, 0.881]


def test_the_least_score_decides() -> None:
    maps = empty()
    maps[3, 3, 0] = math.log(0.6 / 0.4)
    assert len(faces_of(maps, INFO, 1.0, 0.59)) == 1
    assert faces_of(maps, INFO, 1.0, 0.61) == []


@settings(max_examples=50, deadline=None)
@given(arrays(np.float32, (6, 8, 5), elements=st.floats(-1e4, 1e4, width=32)), st.floats(0.01, 0.99))
def test_whatever_leaves_the_network_boxes_are_finite_and_scores_fall(
    maps: NDArray[np.float32], min_score: float
) -> None:
    faces = faces_of(maps, INFO, 3.0, min_score)
    scores = [face.score for face in faces]
    assert scores == sorted(scores, reverse=True)
    assert all(math.isfinite(v) for face in faces for v in face.box)
    assert all(min_score - 1e-6 <= score <= 1 for score in scores)
    assert all(face.box[0] < face.box[2] and face.box[1] < face.box[3] for face in faces)
