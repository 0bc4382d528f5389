"""From a frame to landmarks in frame pixels, proved on pictures whose landmarks are dots at known places."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from tiny_models import CELLS, MARGIN, POINTS, dotted_frame, write_manifest

from npuface_runtime import Detection, FaceAligner, Manifest, UserError
from npuface_runtime.engines import ENGINES
from npuface_runtime.manifest import FILE_NAME, FileInfo, sha256_of

RED, GREEN = (150.0, 90.0), (190.0, 120.0)
BOX = (130.0, 70.0, 210.0, 140.0)
WIDE = (90.0, 35.0, 250.0, 175.0)
"""What FixedDetector turns into BOX."""
FRAME = dotted_frame(320, 240, RED, GREEN)
TOLERANCE = 0.25
"""Frame pixels; a heatmap cell of these crops covers 6.5."""


class FixedDetector:
    """Always the same boxes, twice as wide and high as the landmarks."""

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = boxes
        self.is_closed = False

    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        assert frame.dtype == np.uint8
        assert frame.shape[2] == 3
        return [Detection(box, 0.5) for box in self.boxes]

    def to_landmark_box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        x0, y0, x1, y1 = box
        w, h = (x1 - x0) / 4, (y1 - y0) / 4
        return x0 + w, y0 + h, x1 - w, y1 - h

    def close(self) -> None:
        self.is_closed = True


@pytest.fixture(scope="module")
def aligner(onnx_bundle: Path) -> FaceAligner:
    return FaceAligner(onnx_bundle, FixedDetector(WIDE))


@pytest.fixture
def bundle(onnx_bundle: Path, tmp_path: Path) -> Path:
    """A copy that a test may spoil."""
    return Path(shutil.copytree(onnx_bundle, tmp_path / "bundle"))


@pytest.mark.parametrize("engine", ENGINES)
def test_landmarks_lie_on_the_dots_with_every_engine(bundles: dict[str, Path], engine: str) -> None:
    with FaceAligner(bundles[engine], FixedDetector(BOX)) as aligner:
        (face,) = aligner.align(FRAME, boxes=[BOX])
    assert face.landmarks.shape == (POINTS, 2)
    assert face.landmarks.dtype == np.float32
    np.testing.assert_allclose(face.landmarks, [RED, GREEN], atol=TOLERANCE)
    assert face.confidence is not None
    assert (face.confidence > 0.5).all()
    assert (face.box, face.score) == (BOX, 1.0)


@settings(deadline=None, max_examples=40)
@given(
    red=st.tuples(st.floats(60, 260), st.floats(60, 180)),
    apart=st.tuples(st.floats(-20, 20), st.floats(-20, 20)),
    shift=st.tuples(st.floats(-10, 10), st.floats(-10, 10)),
    side=st.floats(80, 130),
)
def test_landmarks_lie_on_the_dots_wherever_they_are(
    aligner: FaceAligner,
    red: tuple[float, float],
    apart: tuple[float, float],
    shift: tuple[float, float],
    side: float,
) -> None:
    green = (red[0] + apart[0], red[1] + apart[1])
    x, y = (red[0] + green[0]) / 2 + shift[0], (red[1] + green[1]) / 2 + shift[1]
    half = side / 2
    (face,) = aligner.align(dotted_frame(320, 240, red, green), boxes=[(x - half, y - half, x + half, y + half)])
    np.testing.assert_allclose(face.landmarks, [red, green], atol=0.1 * side * MARGIN / CELLS)


def test_every_box_is_a_face_of_its_own(aligner: FaceAligner) -> None:
    frame = np.concatenate([FRAME, FRAME], axis=1)
    moved = (BOX[0] + 320, BOX[1], BOX[2] + 320, BOX[3])
    first, second = aligner.align(frame, boxes=np.array([BOX, moved]))
    np.testing.assert_allclose(second.landmarks - first.landmarks, [[320, 0]] * POINTS, atol=1e-3)


def test_a_second_pass_mends_a_rough_box(onnx_bundle: Path) -> None:
    """The box around the dots' centres is what a second pass cuts out; a dot is blurred by a crop 7 times larger."""
    rough = (10.0, 0.0, 310.0, 240.0)
    errors = []
    for passes in (1, 2):
        with FaceAligner(onnx_bundle, FixedDetector(), passes=passes) as aligner:
            (face,) = aligner.align(dotted_frame(320, 240, RED, GREEN, sigma=4.0), boxes=[rough])
            errors.append(np.abs(face.landmarks - (RED, GREEN)).max())
    assert errors[1] < 0.5 * errors[0]
    assert errors[1] < TOLERANCE


def test_the_detectors_box_is_reframed_for_the_network_and_reported_as_it_is(onnx_bundle: Path) -> None:
    with FaceAligner(onnx_bundle, FixedDetector(WIDE)) as aligner:
        (found,) = aligner(FRAME)
        (given_box,) = aligner(FRAME, boxes=[BOX])
    np.testing.assert_array_equal(found.landmarks, given_box.landmarks)
    assert (found.box, found.score) == (WIDE, 0.5)


def test_no_face_is_an_empty_list(onnx_bundle: Path, aligner: FaceAligner) -> None:
    with FaceAligner(onnx_bundle, "cascade") as with_cascade:
        for shape in ((240, 320, 3), (1, 1, 3), (2000, 3, 3)):
            assert with_cascade.align(np.zeros(shape, np.uint8)) == []
    for none in ([], np.empty((0, 4)), np.empty((0,))):
        assert aligner.align(FRAME, boxes=none) == []


def test_a_face_in_a_photograph_is_found(onnx_bundle: Path, astronaut: NDArray[np.uint8]) -> None:
    with FaceAligner(onnx_bundle) as aligner:
        (face,) = aligner.align(astronaut)
    x0, y0, x1, y1 = face.box
    assert x0 < 222 < x1, "the face's middle"
    assert y0 < 120 < y1
    assert 80 < x1 - x0 < 180
    assert np.isfinite(face.landmarks).all()


def as_kinds(rgb: NDArray[np.uint8]) -> dict[str, Any]:
    alpha = np.full((*rgb.shape[:2], 1), 255, np.uint8)
    return {
        "alpha": np.concatenate([rgb, alpha], axis=2),
        "float": rgb / 255,
        "float of 255": rgb.astype(np.float32),
        "strided": np.asfortranarray(rgb),
    }


def test_a_frame_of_any_kind_gives_the_same_landmarks(aligner: FaceAligner) -> None:
    (expected,) = aligner.align(FRAME)
    for kind, frame in as_kinds(FRAME).items():
        (face,) = aligner.align(frame)
        np.testing.assert_array_equal(face.landmarks, expected.landmarks, err_msg=kind)


def test_a_grey_frame_shows_one_dot_to_both_maps(aligner: FaceAligner) -> None:
    for grey in (FRAME[:, :, 0], FRAME[:, :, :1]):
        (face,) = aligner.align(grey)
        np.testing.assert_allclose(face.landmarks, [RED, RED], atol=TOLERANCE)


def test_bgr_frames_are_read_as_such(onnx_bundle: Path) -> None:
    with FaceAligner(onnx_bundle, FixedDetector(WIDE), colour="bgr") as aligner:
        (face,) = aligner.align(FRAME[:, :, ::-1])
    np.testing.assert_allclose(face.landmarks, [RED, GREEN], atol=TOLERANCE)


def test_frames_of_changing_size_follow_each_other(aligner: FaceAligner) -> None:
    for width, height in ((240, 180), (900, 700), (240, 180)):
        faces = aligner.align(dotted_frame(width, height, RED, GREEN))
        np.testing.assert_allclose(faces[0].landmarks, [RED, GREEN], atol=TOLERANCE)


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.zeros((0, 0, 3), np.uint8), "it is empty"),
        (np.full((9, 9, 3), np.nan), "not finite"),
        (np.zeros((9, 9, 2), np.uint8), "its shape is (9, 9, 2)"),
        (np.zeros((9, 9, 3), np.int64), "its values are int64"),
    ],
)
def test_a_bad_frame_is_an_error_and_the_next_one_works(aligner: FaceAligner, frame: Any, reason: str) -> None:
    with pytest.raises(UserError, match="cannot use this frame") as caught:
        aligner.align(frame)
    assert reason in caught.value.why
    assert len(aligner.align(FRAME)) == 1


@pytest.mark.parametrize(
    ("boxes", "reason"),
    [
        ([(1, 2, 3)], "they are not four numbers each"),
        ((1, 2, 3, 4), "they are not four numbers each"),
        ([(1, 2, 3, 4), (1, 2)], "they are not four numbers each"),
        (["face"], "they are not four numbers each"),
        ([(5, 5, 5, 9)], "a box is not finite or has no extent"),
        ([(9, 5, 1, 9)], "a box is not finite or has no extent"),
        ([(0, 0, np.nan, 9)], "a box is not finite or has no extent"),
        ([(0, 0, 1e9, 1e9)], "is not a region of a frame of 320 x 240 pixels"),
    ],
)
def test_bad_boxes_are_refused(aligner: FaceAligner, boxes: Any, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        aligner.align(FRAME, boxes=boxes)
    assert reason in str(caught.value)


def test_the_description_says_what_runs(onnx_bundle: Path) -> None:
    with FaceAligner(onnx_bundle, FixedDetector()) as aligner:
        assert aligner.description.startswith("dots (float32) for onnxruntime-cpu: dots.onnx runs on ONNX Runtime ")
        assert "NPU" not in aligner.description


def test_the_description_says_that_a_host_stands_in_for_an_npu(bundle: Path) -> None:
    device = bundle / "dots_npu.bin"
    device.write_bytes(b"commands of an NPU")
    manifest = Manifest.load(bundle)
    files = dict(manifest.files) | {"device": FileInfo(device.name, sha256_of(device), 18)}
    write_manifest(bundle, replace(manifest, files=files, target="ethos-u55-128").as_json())
    with FaceAligner(bundle, FixedDetector()) as aligner:
        assert "for ethos-u55-128: dots.onnx runs on ONNX Runtime" in aligner.description
        assert aligner.description.endswith("standing in for the NPU, which runs dots_npu.bin")


def test_after_closing_it_says_so(onnx_bundle: Path) -> None:
    detector = FixedDetector(BOX)
    with FaceAligner(onnx_bundle, detector) as aligner:
        pass
    aligner.close()
    with pytest.raises(UserError, match="this FaceAligner is closed"):
        aligner.align(FRAME)
    assert not detector.is_closed, "the caller's detector stays the caller's"


def spoil(bundle: Path, **changes: Any) -> None:
    raw = json.loads((bundle / FILE_NAME).read_text())
    (bundle / FILE_NAME).write_text(json.dumps(raw | changes))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"engine": "rknn"}, "unknown engine 'rknn'"),
        ({"engine": "litert"}, "cannot open"),
        (
            {"decode": {"form": "x", "finish": "magic", "params": {}, "bytes_out": 1}},
            "cannot finish the decode 'magic'",
        ),
        ({"landmarks": {"scheme": "x", "points": 3}}, "it takes one output of 768 numbers"),
    ],
)
def test_a_bundle_that_cannot_run_is_refused_when_it_is_opened(
    bundle: Path, changes: dict[str, Any], reason: str
) -> None:
    spoil(bundle, **changes)
    with pytest.raises(UserError) as caught:
        FaceAligner(bundle, FixedDetector())
    assert reason in str(caught.value)


def test_a_manifest_that_describes_another_model_is_refused(bundle: Path) -> None:
    raw = json.loads((bundle / FILE_NAME).read_text())
    raw["input"] |= {"layout": "NHWC", "shape": [1, 64, 64, 3]}
    (bundle / FILE_NAME).write_text(json.dumps(raw))
    with pytest.raises(UserError, match="its model's tensors are"):
        FaceAligner(bundle, FixedDetector())


def test_an_edited_model_is_refused(bundle: Path) -> None:
    with (bundle / "dots.onnx").open("ab") as stream:
        stream.write(b"\0")
    with pytest.raises(UserError, match="is not the file that was packed"):
        FaceAligner(bundle, FixedDetector())


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"passes": 0}, "cannot make 0 passes"),
        ({"passes": True}, "cannot make True passes"),
        ({"threads": 0}, "cannot use 0 threads"),
        ({"colour": "hsv"}, "unknown colour order 'hsv'"),
        ({"detector": "cascad"}, "unknown detector 'cascad'"),
    ],
)
def test_wrong_arguments_are_refused(onnx_bundle: Path, arguments: dict[str, Any], reason: str) -> None:
    with pytest.raises(UserError) as caught:
        FaceAligner(onnx_bundle, **({"detector": FixedDetector()} | arguments))
    assert reason in str(caught.value)
