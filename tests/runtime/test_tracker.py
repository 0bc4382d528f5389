"""Faces keep their ids."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tracked_dots import TOLERANCE, Open, Places, Seer, at, ids, picture

from npuface_runtime import (
    Smoothing,
    Tracking,
    UserError,
)


def test_a_face_on_its_way_is_followed_without_the_detector(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(detect_every=100, smoothing=None))
    for i in range(30):
        place = (100 + 1.0 * i, 100 + 4 * np.sin(i / 5))
        (face,) = tracker.track(picture([place]))
        np.testing.assert_allclose(face.landmarks, at(place), atol=TOLERANCE)
        np.testing.assert_allclose(face.box, at(place).ravel(), atol=TOLERANCE)
        assert (face.id, face.age, face.score) == (0, i, 0.9)
    assert seer.looked == tracker.detections == 1


def test_the_detector_runs_every_so_many_frames(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(detect_every=4))
    for _ in tracker.run([picture([(100, 100)])] * 13):
        pass
    assert seer.looked == 4


def test_several_faces_keep_their_ids_whatever_order_the_detector_sees_them_in(open_tracker: Open) -> None:
    seer = Seer()
    tracker = open_tracker(seer, tracking=Tracking(detect_every=3, smoothing=None))
    for i in range(20):
        places: Places = [(80 + 1.0 * i, 70), (220 + 0.5 * i, 180), (400 - 1.0 * i, 80)]
        seer.places = [places[(i + k) % 3] for k in range(3)]
        faces = tracker.track(picture(places))
        if i == 0:
            owner = {
                face.id: int(np.argmin([np.abs(face.landmarks.mean(0) - p).sum() for p in places])) for face in faces
            }
        assert sorted(ids(faces)) == [0, 1, 2]
        for face in faces:
            np.testing.assert_allclose(face.landmarks, at(places[owner[face.id]]), atol=TOLERANCE)


def test_a_face_that_leaves_is_dropped_and_its_id_is_not_given_again(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(search_every=3, keep_lost=4))
    assert ids(tracker.track(picture([(100, 100)]))) == [0]
    seer.places = []
    looked = []
    for _ in range(8):
        assert tracker.track(picture([])) == []
        looked.append(seer.looked - 1)
    assert looked == [1, 1, 1, 2, 2, 2, 3, 3], "at once, then every third frame"
    seer.places = [(100, 100)]
    found = [ids(tracker.track(picture([(100, 100)]))) for _ in range(3)]
    assert found[-1] == [1]
    assert {i for each in found for i in each} == {1}


def test_a_face_that_is_lost_for_a_moment_gets_its_id_again(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer)
    tracker.track(picture([(100, 100)]))
    assert tracker.track(picture([])) == []
    seer.places = [(120, 100)]
    seen = [ids(tracker.track(picture([(120, 100)]))) for _ in range(6)]
    assert seen[-1] == [0]


def test_a_face_that_jumps_is_found_again_in_the_same_frame(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer)
    tracker.track(picture([(100, 100)]))
    seer.places = [(300, 120)]
    (face,) = tracker.track(picture([(300, 120)]))
    assert face.id == 1, "so far away it is somebody else"
    np.testing.assert_allclose(face.landmarks, at((300, 120)), atol=TOLERANCE)


def test_a_new_face_is_found_at_the_next_detection(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(detect_every=5, smoothing=None))
    tracker.track(picture([(100, 100)]))
    seer.places = [(300, 120), (100, 100)]
    counts = [len(tracker.track(picture([(100, 100), (300, 120)]))) for _ in range(6)]
    assert counts == [1, 1, 1, 1, 2, 2]


def test_two_boxes_on_one_face_are_one_face(open_tracker: Open) -> None:
    tracker = open_tracker(Seer((100, 100), (106, 97), (94, 104)))
    for _ in range(3):
        assert ids(tracker.track(picture([(100, 100)]))) == [0]


def test_faces_that_become_one_keep_the_older_id(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer, tracking=Tracking(detect_every=1, smoothing=None))
    tracker.track(picture([(100, 100)]))
    seer.places = [(100, 100), (190, 100)]
    assert ids(tracker.track(picture(seer.places))) == [0, 1]
    seer.places = []
    for x in range(180, 90, -6):
        faces = tracker.track(picture([(100, 100), (max(x, 100), 100)]))
    assert ids(faces) == [0]


def test_a_cut_gives_new_ids_and_the_detector_a_look(open_tracker: Open) -> None:
    seer = Seer((100, 100))
    tracker = open_tracker(seer)
    assert ids(tracker.track(picture([(100, 100)], scene=1))) == [0]
    assert ids(tracker.track(picture([(100, 100)], scene=2))) == [1]
    assert seer.looked == 2


def test_what_is_no_face_is_not_followed(open_tracker: Open) -> None:
    tracker = open_tracker(Seer((100, 100), (300, 100)))
    assert ids(tracker.track(picture([(100, 100)]))) == [0], "the other sighting shows an empty wall"


def test_no_more_faces_than_asked_for(open_tracker: Open) -> None:
    places: Places = [(80, 70), (240, 180), (400, 80)]
    tracker = open_tracker(Seer(*places), tracking=Tracking(max_faces=2))
    assert ids(tracker.track(picture(places))) == [0, 1]


def test_landmarks_are_smoothed_over_time(open_tracker: Open) -> None:
    rng = np.random.default_rng(0)
    seer = Seer((100, 100))
    smooth, raw = open_tracker(seer, tracking=Tracking(smoothing=Smoothing(0.5, 1.0, 1.0))), open_tracker(seer)
    steps: dict[str, list[float]] = {"smooth": [], "raw": []}
    last: dict[str, NDArray[np.float32]] = {}
    for i in range(20):
        frame = picture([tuple(rng.normal(100, 1, 2))])
        for name, tracker in (("smooth", smooth), ("raw", raw)):
            (face,) = tracker.track(frame, i / 30)
            steps[name].append(float(np.abs(face.landmarks - last.get(name, face.landmarks)).mean()))
            last[name] = face.landmarks
    assert sum(steps["smooth"]) < 0.3 * sum(steps["raw"])


def test_the_result_belongs_to_the_caller(open_tracker: Open) -> None:
    tracker = open_tracker(Seer((100, 100)))
    (face,) = tracker.track(picture([(100, 100)]))
    face.landmarks[:] += 500
    (again,) = tracker.track(picture([(100, 100)]))
    np.testing.assert_allclose(again.landmarks, at((100, 100)), atol=TOLERANCE)


def test_another_bundle_takes_over(open_tracker: Open, bundles: dict[str, Path], onnx_bundle: Path) -> None:
    tracker = open_tracker(Seer((100, 100)))
    frame = picture([(100, 100)])
    tracker.track(frame)
    with pytest.raises(UserError):
        tracker.swap(onnx_bundle / "gone")
    assert ids(tracker.track(frame)) == [0]
    tracker.swap(bundles["openvino"])
    assert "OpenVINO" in tracker.description
    assert ids(tracker.track(frame)) == [0]


def test_a_bundle_of_other_landmarks_does_not_take_over(open_tracker: Open, onnx_bundle: Path, tmp_path: Path) -> None:
    other = Path(shutil.copytree(onnx_bundle, tmp_path / "other"))
    manifest = json.loads((other / "manifest.json").read_text())
    scheme = manifest["landmarks"]["scheme"]
    manifest["landmarks"]["scheme"] = "custom-2"
    (other / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match=f"it has 2 landmarks of custom-2, the one in use 2 of {scheme}"):
        open_tracker(Seer()).swap(other)


def test_after_closing_it_says_so(open_tracker: Open) -> None:
    tracker = open_tracker(Seer())
    tracker.close()
    tracker.close()
    with pytest.raises(UserError, match="this FaceTracker is closed"):
        tracker.track(picture([]))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"detect_every": 0}, "cannot track with detect_every 0"),
        ({"search_every": -1}, "cannot track with search_every -1"),
        ({"max_lag": 0}, "cannot track with max_lag 0"),
        ({"max_faces": 0}, "cannot track with max_faces 0"),
        ({"min_confidence": 1.5}, "cannot track with min_confidence 1.5"),
        ({"doubt": float("nan")}, "cannot track with doubt nan"),
        ({"keep_lost": -1}, "cannot track with keep_lost -1"),
        ({"frame_rate": 0.0}, "cannot track with frame_rate 0.0"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError) as caught:
        Tracking(**changes)
    assert reason in str(caught.value)


def test_a_time_that_is_none_is_refused(open_tracker: Open) -> None:
    with pytest.raises(UserError, match="its time is nan"):
        open_tracker(Seer()).track(picture([]), float("nan"))
