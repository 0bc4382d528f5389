"""After the first frames no memory is taken for a frame but that of its small results."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from tiny_models import dotted_frame, openvino_model

from npuface_runtime import Crop, Detection, FaceTracker, Tracking, open_session, prepare
from npuface_runtime.bundle_manifest import TensorInfo
from npuface_runtime.landmarker import Landmarker
from npuface_runtime.manifest import Manifest
from npuface_runtime.sampling import sample_crop
from npuface_runtime.scratch import Scratch

SMALL = 96 << 10
"""Bytes: room for landmarks, indices and the buffers in which numpy converts types. An input of 256 x 256 takes
786 kB, these frames 921."""
SHAPE = (256, 256)
FRAME = np.random.default_rng(0).integers(0, 255, (480, 640, 3)).astype(np.uint8)


@pytest.fixture
def traced() -> Iterator[None]:
    tracemalloc.start()
    yield
    tracemalloc.stop()


def taken_by(work: Callable[[], object]) -> int:
    """The most bytes that were held at once for it, beyond what was there before."""
    tracemalloc.reset_peak()
    before = tracemalloc.get_traced_memory()[0]
    work()
    return tracemalloc.get_traced_memory()[1] - before


CROPS = [Crop(320, 240, 150), Crop(20, 30, 300), Crop(300, 200, 700), Crop(300, 240, 200, 0.5), Crop(300, 240, 800, -2)]


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("crop", CROPS)
def test_a_crop_is_cut_out_in_the_same_memory(crop: Crop) -> None:
    scratch = Scratch()
    first = sample_crop(FRAME, crop, SHAPE, scratch).copy()
    assert taken_by(lambda: sample_crop(FRAME, crop, SHAPE, scratch)) < SMALL
    np.testing.assert_array_equal(sample_crop(FRAME, crop, SHAPE, scratch), first)
    assert taken_by(lambda: sample_crop(FRAME, crop, SHAPE)) > 5 * SMALL, "and without it in memory of its own"


@pytest.mark.parametrize("crop", CROPS)
def test_what_another_face_left_behind_does_not_show(crop: Crop) -> None:
    scratch = Scratch()
    for other in CROPS:
        sample_crop(255 - FRAME, other, SHAPE, scratch)
    np.testing.assert_array_equal(sample_crop(FRAME, crop, SHAPE, scratch), sample_crop(FRAME, crop, SHAPE))


@pytest.mark.usefixtures("traced")
def test_a_face_is_found_in_the_same_memory(onnx_bundle: Path) -> None:
    landmarker = Landmarker(onnx_bundle)
    for crop in CROPS:
        landmarker.locate(FRAME, crop)
    assert max(taken_by(lambda crop=crop: landmarker.locate(FRAME, crop)) for crop in CROPS) < SMALL  # type: ignore[misc]
    landmarker.close()


@pytest.mark.usefixtures("traced")
@pytest.mark.parametrize("kind", ["float32", "uint8", "int8"])
@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_an_input_is_prepared_in_the_same_memory(onnx_bundle: Path, kind: str, layout: str) -> None:
    manifest = Manifest.load(onnx_bundle)
    shape = (1, 3, *SHAPE) if layout == "NCHW" else (1, *SHAPE, 3)
    scale, zero_point = {"float32": (None, None), "uint8": (1.0, 0), "int8": (1.0, -128)}[kind]
    pixels = replace(manifest.preprocess, mean=(0.0,) * 3, std=(1.0,) * 3)
    entry = TensorInfo("picture", shape, kind, layout, scale, zero_point)
    manifest = replace(manifest, input=entry, preprocess=pixels)
    scratch = Scratch()
    first = [prepare(FRAME, crop, manifest, scratch).copy() for crop in CROPS]
    for crop, expected in zip(CROPS, first, strict=True):
        assert taken_by(lambda crop=crop: prepare(FRAME, crop, manifest, scratch)) < SMALL  # type: ignore[misc]
        np.testing.assert_array_equal(prepare(FRAME, crop, manifest, scratch), expected)


@pytest.mark.usefixtures("traced")
def test_a_frame_loop_leaves_nothing_behind(onnx_bundle: Path) -> None:
    landmarker = Landmarker(onnx_bundle)
    for n in range(100):
        landmarker.locate(FRAME, CROPS[n % len(CROPS)])
    before = tracemalloc.get_traced_memory()[0]
    for n in range(500):
        landmarker.locate(FRAME, CROPS[n % len(CROPS)])
    landmarker.close()
    assert tracemalloc.get_traced_memory()[0] - before < 16 << 10


class Seer:
    def detect(self, frame: NDArray[np.uint8]) -> list[Detection]:
        return [Detection((130, 70, 210, 140), 1.0)]

    def to_landmark_box(self, box: tuple[float, float, float, float]) -> tuple[float, float, float, float]:
        return box

    def close(self) -> None:
        pass


@pytest.mark.usefixtures("traced")
def test_a_frame_is_tracked_in_the_same_memory(onnx_bundle: Path) -> None:
    frame = dotted_frame(320, 240, (150, 90), (190, 120))
    with FaceTracker(onnx_bundle, Seer(), tracking=Tracking(detect_every=100)) as tracker:
        for _ in range(5):
            tracker.track(frame)
        taken = [taken_by(lambda: tracker.track(frame)) for _ in range(20)]
        assert tracker.detections == 1
    assert max(taken) < SMALL


def test_arrays_grow_and_stay() -> None:
    scratch = Scratch()
    small = scratch.array("a", (2, 3))
    large = scratch.array("a", (4, 5), np.int16)
    assert (small.dtype, large.dtype, large.shape) == (np.float32, np.int16, (4, 5))
    again = scratch.array("a", (2, 2), np.uint8)
    assert np.shares_memory(large, again)
    assert not np.shares_memory(large, scratch.array("b", (4, 5)))


@pytest.mark.parametrize("engine", ["onnxruntime", "openvino"])
def test_the_input_enters_the_engine_without_a_copy(engine: str, tmp_path: Path) -> None:
    """A network that reads a corner of a picture of 50 MB: to copy the picture takes many times longer."""
    picture = np.ones((1, 3, 2048, 2048), np.float32)
    with open_session(engine, corner_model(engine, tmp_path, picture.shape)) as session:
        infer = session._infer
        assert infer is not None
        infer(picture)
        run, copy = (np.median([seconds(work) for _ in range(9)]) for work in (lambda: infer(picture), picture.copy))
    assert run < 0.3 * copy


def seconds(work: Callable[[], object]) -> float:
    start = time.process_time()
    work()
    return time.process_time() - start


def corner_model(engine: str, folder: Path, shape: tuple[int, ...]) -> dict[str, Path]:
    """The model files of a network that gives the first pixel."""
    constants = {"start": [0, 0], "end": [1, 1], "axes": [2, 3]}
    graph = helper.make_graph(
        [helper.make_node("Slice", ["picture", *constants], ["corner"])],
        "corner",
        [helper.make_tensor_value_info("picture", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("corner", TensorProto.FLOAT, (1, 3, 1, 1))],
        [onnx.numpy_helper.from_array(np.array(value, np.int64), name) for name, value in constants.items()],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), folder / "corner.onnx"
    )
    if engine == "openvino":
        return openvino_model(folder / "corner.onnx", folder)
    return {"model": folder / "corner.onnx"}
