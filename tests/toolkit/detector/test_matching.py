"""Which detections are right, and the figures that follow."""

from __future__ import annotations

import numpy as np
import pytest

from npuface_toolkit.detector.matching import Judged, judge, summarise

FACES = np.array([[0, 0, 10, 10], [20, 0, 30, 10], [40, 0, 50, 10]], np.float32)


def test_a_face_is_found_once_and_an_unknown_one_counts_neither_way() -> None:
    found = np.array([[0, 0, 10, 10], [1, 0, 11, 10], [41, 0, 51, 10], [20, 20, 30, 30]], np.float32)
    assert judge(found, FACES, np.array([True, True, False])) == [True, False, None, False]


def test_without_faces_every_detection_is_false() -> None:
    assert judge(FACES, np.zeros((0, 4), np.float32), np.zeros(0, bool)) == [False, False, False]


def test_average_precision_of_a_hand_made_ranking() -> None:
    # right, wrong, right of 4 faces: precision 1 at recall 1/4, 2/3 at recall 2/4
    found = summarise(np.array([0.7, 0.9, 0.8]), np.array([True, True, False]), 4, 2)
    assert found.average_precision == pytest.approx((1 + 2 / 3) / 4)
    assert found.recall == pytest.approx(0.5)
    assert found.false == pytest.approx(0.5)


def test_nothing_found_is_nothing() -> None:
    found = summarise(np.zeros(0), np.zeros(0, bool), 3, 1)
    assert (found.average_precision, found.recall, found.false) == (0, 0, 0)


def test_the_least_score_is_the_one_with_the_best_f1() -> None:
    # of 3 faces; at 0.8: 1 right of 1, F1 1/2; at 0.6: 2 of 3, F1 2/3; at 0.4: 2 of 4, F1 4/7
    judged = Judged(np.array([0.4, 0.8, 0.7, 0.6]), np.array([False, True, False, True]), 3, 2)
    assert judged.best_score() == 0.6
    assert judged.at(0.6).recall == pytest.approx(2 / 3)
    assert judged.at(0.75).false == 0
    assert Judged(np.array([0.9]), np.array([False]), 3, 2).best_score() == 0.5
