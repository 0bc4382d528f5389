"""The detector that ships, on a photograph and on labelled faces that it never saw."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from npuface_export.photograph import photograph
from npuface_runtime.geometry import box_of_points
from npuface_toolkit.checkpoint import find_checkpoint
from npuface_toolkit.detector.boxes import boxed_pictures
from npuface_toolkit.detector.checkpoint import load_detector
from npuface_toolkit.detector.evaluate import evaluate_detectors, open_any
from npuface_toolkit.detector.matching import overlap
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.labelling import Checkpoint

NAME = "detector-320"


def test_it_is_small() -> None:
    network, info = load_detector(NAME)
    assert sum(parameter.numel() for parameter in network.parameters()) <= 0.3e6
    assert find_checkpoint(NAME).stat().st_size < 1 << 20
    assert 0.3 < info.min_score < 0.6


def test_it_finds_the_face_of_the_photograph() -> None:
    frame, detector = photograph(), open_any(NAME)
    found = max(detector.detect(frame), key=lambda face: face.score)
    box = np.array(detector.to_landmark_box(found.box), np.float32)
    points = Checkpoint("student-68").points(frame, box)
    assert overlap(box, np.array(box_of_points(points), np.float32)[None])[0] > 0.6


def test_it_finds_nothing_in_nothing() -> None:
    assert open_any(NAME).detect(np.full((480, 640, 3), 128, np.uint8)) == []


def test_it_finds_labelled_faces(data: Path) -> None:
    faces, _ = read_faces(f"wflw:{data / 'wflw/list_68pt_rect_attr.txt'}")
    (row,) = evaluate_detectors([NAME], boxed_pictures(faces[::2]), False)
    assert row.recall >= 0.8, "85 % of all of them"
    assert row.overlap >= 0.7
