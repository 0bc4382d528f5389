"""Detectors on a public-domain photograph, and on the research data where it is there."""

from __future__ import annotations

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from tiny_models import onnx_model

from npuface_runtime.detectors import Detector, Framing, cascade, measure_framing, open_detector
from npuface_runtime.detectors.boxes import distinct, fit_frame
from npuface_runtime.detectors.ultraface import UltraFace
from npuface_runtime.detectors.yunet import YuNet
from npuface_runtime.engines import Session, TensorSpec
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points

FACE = np.array([180.0, 60.0, 270.0, 180.0])
"""The astronaut's face, from the hairline to the chin, read off the picture."""
NETWORKS = {
    "yunet": "models/yunet/yunet_n_320_320.onnx",
    "ultraface": "models/ultraface/version-RFB-320.onnx",
    "ultraface without postprocessing": "models/ultraface/version-RFB-320_without_postprocessing.onnx",
}
each_network = pytest.mark.parametrize("name", NETWORKS)


def overlap(a: NDArray[np.floating], b: NDArray[np.floating]) -> float:
    """Shared area over that of the union."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared))


def surest_box(detector: Detector, frame: NDArray[np.uint8]) -> NDArray[np.float64]:
    return np.array(detector.detect(frame)[0].box)


def check_photograph(detector: Detector, astronaut: NDArray[np.uint8]) -> None:
    """One face, where it is, and along with the picture when that is moved, padded or scaled."""
    (face,) = detector.detect(astronaut)
    box = np.array(face.box)
    assert overlap(box, FACE) > 0.4
    padded = np.zeros((700, 900, 3), np.uint8)
    padded[100:612, 200:712] = astronaut
    assert overlap(surest_box(detector, padded) - (200, 100, 200, 100), box) > 0.7
    large = astronaut.repeat(3, axis=0).repeat(3, axis=1)
    assert overlap((surest_box(detector, large) + 0.5) / 3 - 0.5, box) > 0.7
    assert overlap(np.array(detector.to_landmark_box(tuple(box))), np.array([188, 88, 262, 172])) > 0.6


def test_the_cascade_finds_the_face(astronaut: NDArray[np.uint8]) -> None:
    check_photograph(open_detector("cascade"), astronaut)


@each_network
def test_the_networks_find_the_face(data: Path, astronaut: NDArray[np.uint8], name: str) -> None:
    detector = open_detector(data / NETWORKS[name])
    check_photograph(detector, astronaut)
    (face,) = detector.detect(astronaut)
    assert 0.7 <= face.score <= 1
    detector.close()
    with pytest.raises(UserError, match="its session is closed"):
        detector.detect(astronaut)


@each_network
@pytest.mark.parametrize("shape", [(1, 1), (1, 400), (400, 1), (37, 800)])
def test_the_networks_find_no_face_where_there_is_none(data: Path, name: str, shape: tuple[int, int]) -> None:
    detector = open_detector(data / NETWORKS[name])
    for grey in (0, 128, 255):
        assert detector.detect(np.full((*shape, 3), grey, np.uint8)) == []


def test_both_ultraface_files_give_the_same_boxes(data: Path, astronaut: NDArray[np.uint8]) -> None:
    """The anchors are the published ones if the boxes decoded here are those decoded in the other file."""
    decoded, raw = (open_detector(data / NETWORKS[n]) for n in ("ultraface", "ultraface without postprocessing"))
    for frame in (astronaut, astronaut[40:220, 140:330], np.concatenate([astronaut, astronaut], axis=1)):
        one, two = decoded.detect(frame), raw.detect(frame)
        assert len(one) == len(two) > 0
        np.testing.assert_allclose([f.box for f in one], [f.box for f in two], atol=0.05)


def test_yunet_agrees_with_opencvs_own(data: Path, astronaut: NDArray[np.uint8]) -> None:
    import cv2

    file = data / NETWORKS["yunet"]
    square = np.ascontiguousarray(astronaut[:320, 60:380])
    theirs = cv2.FaceDetectorYN.create(str(file), "", (320, 320), score_threshold=0.7)
    _, found = theirs.detect(cv2.cvtColor(square, cv2.COLOR_RGB2BGR))
    x, y, w, h = found[0][:4]
    (ours,) = open_detector(file).detect(square)
    np.testing.assert_allclose(np.array(ours.box) + 0.5, [x, y, x + w, y + h], atol=0.05)
    assert ours.score == pytest.approx(found[0][14], abs=1e-3)


@pytest.mark.parametrize("name", ["cascade", *NETWORKS])
def test_the_framing_is_still_what_was_measured(data: Path, name: str) -> None:
    """A tenth of the pictures that the constants were measured on; the mean of so few may be 0.05 off."""
    from npuface_toolkit.face_files import read_faces
    from npuface_toolkit.faces import read_picture

    detector = open_detector(name if name == "cascade" else data / NETWORKS[name])
    sources = {
        f"points:{data}/p1/training_frames_keypoints.csv:{data}/p1/training": 70,
        f"wflw:{data}/wflw/list_68pt_rect_attr.txt:{data}/wflw/images": 8,
    }
    measured = []
    for source, every in sources.items():
        boxes, targets = [], []
        for labelled in read_faces(source)[0][::every]:
            target = box_of_points(labelled.points)
            found = [np.array(face.box) for face in detector.detect(read_picture(labelled.picture))]
            best = max(found, key=lambda box: overlap(box, target), default=None)
            if best is not None and overlap(best, target) > 0.3:
                boxes.append(best)
                targets.append(target)
        assert len(boxes) >= 12
        framing = measure_framing(np.array(boxes), np.array(targets))
        measured.append([framing.dx, framing.dy, framing.width, framing.height])
    x0, y0, x1, y1 = detector.to_landmark_box((0.0, 0.0, 1.0, 1.0))
    stated = [(x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5, x1 - x0, y1 - y0]
    np.testing.assert_allclose(stated, np.mean(measured, axis=0), atol=0.05)


@given(dx=st.floats(-0.3, 0.3), dy=st.floats(-0.3, 0.3), width=st.floats(0.5, 1.5), height=st.floats(0.5, 1.5))
def test_measuring_a_framing_gives_it_back(dx: float, dy: float, width: float, height: float) -> None:
    framing = Framing(dx, dy, width, height)
    boxes = np.array([[10.0, 20, 110, 170], [300, 5, 340, 25]])
    targets = np.array([framing.landmark_box(tuple(box)) for box in boxes])
    again = measure_framing(boxes, targets)
    np.testing.assert_allclose([again.dx, again.dy, again.width, again.height], [dx, dy, width, height], atol=1e-9)


BOXES = arrays(np.float32, (12, 4), elements=st.integers(0, 40)).map(
    lambda v: np.concatenate([v[:, :2], v[:, :2] + v[:, 2:] + 1], axis=1)
)


@given(boxes=BOXES, scores=arrays(np.float32, (12,), elements=st.sampled_from([0.1, 0.5, 0.7, 0.9])))
def test_distinct_boxes_are_the_surest_and_apart(boxes: np.ndarray, scores: np.ndarray) -> None:
    kept = distinct(boxes, scores, 0.3)
    assert list(scores[kept]) == sorted(scores[kept], reverse=True)
    assert all(overlap(boxes[a], boxes[b]) <= 0.3 + 1e-6 for a in kept for b in kept if a != b)
    for i in set(range(12)) - set(kept):
        assert any(overlap(boxes[i], boxes[k]) > 0.3 - 1e-6 and scores[k] >= scores[i] for k in kept)


@pytest.mark.parametrize("shape", [(240, 320), (480, 640), (100, 900), (900, 100), (50, 60)])
def test_a_frame_is_fitted_into_an_input_and_back(shape: tuple[int, int]) -> None:
    frame = np.full((*shape, 3), 90, np.uint8)
    picture, scale = fit_frame(frame, 320, 240)
    assert picture.shape == (240, 320, 3)
    edge = math.ceil(1 / scale)
    inside = picture[edge : int(shape[0] / scale) - edge, edge : int(shape[1] / scale) - edge]
    assert inside.size
    np.testing.assert_allclose(inside, 90, atol=1e-3)
    assert scale == pytest.approx(max(shape[0] / 240, shape[1] / 320))


def test_a_frame_of_one_long_row_is_fitted_too() -> None:
    picture, scale = fit_frame(np.full((1, 100_000, 3), 255, np.uint8), 320, 240)
    assert (picture.shape, scale) == ((240, 320, 3), 312.5)
    assert picture[0].any()
    assert not picture[2:].any()


@pytest.mark.parametrize("network", [UltraFace, YuNet])
def test_a_network_of_a_huge_input_is_none_of_these(network: type[UltraFace] | type[YuNet]) -> None:
    """It is asked before anything is made by its size: all anchors of this one would not fit into memory."""
    spec = TensorSpec("input", (1, 3, 200_000, 200_000), "float32")
    assert not network.fits(Session("an engine", spec, [spec], lambda picture: [picture], ()))


def refusal(name: str | Path) -> str:
    with pytest.raises(UserError) as caught:
        open_detector(name)
    return str(caught.value)


def test_an_unknown_detector_is_refused() -> None:
    assert "it is not 'cascade', and there is no such file" in refusal("haar")


def test_a_network_that_detects_no_faces_is_refused_with_what_it_has(tmp_path: Path) -> None:
    reason = refusal(onnx_model(tmp_path / "dots.onnx"))
    assert "heatmaps (1, 2, 16, 16), sums (1, 2, 1, 1) are neither YuNet's nor UltraFace's" in reason


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "face.onnx").write_bytes(b"nothing")
    assert "ONNX Runtime cannot open" in refusal(tmp_path / "face.onnx")


def test_a_network_of_another_use_is_refused(data: Path) -> None:
    assert "are neither YuNet's nor UltraFace's" in refusal(data / "models/openseeface/lm_model0_opt.onnx")


def test_the_cascade_is_found_where_debian_has_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenCV as Debian builds it has no module cv2.data."""
    shipped = cascade._cascade_file()
    monkeypatch.setitem(sys.modules, "cv2.data", None)
    monkeypatch.setattr(cascade, "_DEBIAN", tmp_path)
    assert f"haarcascade_frontalface_default.xml is not in {tmp_path}." in refusal("cascade")
    (tmp_path / shipped.name).write_text("no cascade")
    assert "OpenCV cannot read" in refusal("cascade")
    shutil.copy(shipped, tmp_path)
    open_detector("cascade").close()


def test_an_opencv_that_does_not_load_says_why(tmp_path: Path) -> None:
    (tmp_path / "cv2.py").write_text("raise ImportError('libGL.so.1: cannot open shared object file')")
    code = (
        "from npuface_runtime import UserError, open_detector, open_source\n"
        "for call in (lambda: open_detector('cascade'), lambda: open_source('0')):\n"
        "    try: call()\n"
        "    except UserError as error: print(error)\n"
    )
    path = os.pathsep.join([str(tmp_path), *sys.path])
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ | {"PYTHONPATH": path}
    )
    assert done.stdout.count("OpenCV is installed but does not load (libGL.so.1: cannot open") == 2


def test_the_cascade_without_opencv_names_its_extra() -> None:
    code = (
        "import sys\n"
        "sys.modules['cv2'] = None\n"
        "from npuface_runtime import UserError, open_detector\n"
        "try: open_detector('cascade')\n"
        "except UserError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "OpenCV is not installed. Pip install npuface[camera]" in done.stdout
