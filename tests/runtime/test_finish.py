"""The host halves against an independent float64 reference that follows the definitions cell by cell."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from npuface_runtime.errors import UserError
from npuface_runtime.finish import dequantize, finish_decode
from npuface_runtime.manifest import Decode, FileInfo, HeatmapInfo, Landmarks, Manifest, Preprocess, TensorInfo

POINTS, CELLS, STRIDE = 5, 16, 4
THRESHOLD, SIGMA = 0.3, 1.5
STEP = 254 // (CELLS - 1)
OFFSET = 127 - STEP * (CELLS - 1)
IDEAL_MASS = 2 * np.pi * SIGMA**2 * (1 - THRESHOLD + THRESHOLD * np.log(THRESHOLD))
MOMENT_PARAMS = {"step_x": STEP, "offset_x": OFFSET, "step_y": STEP, "offset_y": OFFSET}
CONFIDENCE_PARAMS = MOMENT_PARAMS | {"ideal_mass": IDEAL_MASS, "mass_power": 1}
SIZE = CELLS * STRIDE


def manifest_for(finish: str, params: Mapping[str, float], output: TensorInfo, points: int = POINTS) -> Manifest:
    return Manifest(
        name="test",
        target="onnxruntime-cpu",
        engine="onnxruntime",
        precision="float32",
        files={"model": FileInfo("model.onnx", "", 0)},
        input=TensorInfo("picture", (1, 3, SIZE, SIZE), "float32", "NCHW"),
        outputs=(output,),
        preprocess=Preprocess((0, 0, 0), (1, 1, 1), 1.3),
        landmarks=Landmarks("test", points),
        heatmap=HeatmapInfo(CELLS, CELLS, (STRIDE, STRIDE), (1.5, 1.5), "heatmaps"),
        decode=Decode("test", finish, params, 0),
    )


def float_output(*shape: int, layout: str = "NCHW") -> TensorInfo:
    return TensorInfo("out", shape, "float32", layout)


def gaussian_maps(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Heatmaps [K, H, W] float64 with some noise, and where their peaks were drawn [K, 2]."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(4, CELLS - 5, (POINTS, 2))
    y, x = np.mgrid[:CELLS, :CELLS]
    maps = [np.exp(-((x - cx) ** 2 + (y - cy) ** 2) / (2 * SIGMA**2)) for cx, cy in centres]
    return np.array(maps) + rng.normal(0, 0.02, (POINTS, CELLS, CELLS)), centres


def reference_points(maps: np.ndarray) -> np.ndarray:
    """[K, 2] in cells: the mean cell under relu(h - t max h), summed cell by cell in float64."""
    points = []
    for one in maps:
        mass = x_sum = y_sum = 0.0
        for (row, column), value in np.ndenumerate(one):
            weight = max(0.0, value - THRESHOLD * one.max())
            mass, x_sum, y_sum = mass + weight, x_sum + weight * column, y_sum + weight * row
        points.append((x_sum / mass, y_sum / mass))
    return np.array(points)


def to_pixels(cells: np.ndarray) -> np.ndarray:
    return (cells + 0.5) * STRIDE - 0.5


def reference_moments(maps: np.ndarray) -> np.ndarray:
    """[5K]: what the relative-threshold decode sends: mass and first moment by x, then by y, then the maximum."""
    weights = np.maximum(maps - THRESHOLD * maps.max(axis=(1, 2), keepdims=True), 0)
    grid = (STEP * np.arange(CELLS) + OFFSET) / 127
    by_x, by_y = weights.sum(axis=1), weights.sum(axis=2)
    return np.concatenate([by_x.sum(1), by_x @ grid, by_y.sum(1), by_y @ grid, maps.max(axis=(1, 2))])


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
def test_heatmaps(layout: str) -> None:
    maps, centres = gaussian_maps()
    sent = maps if layout == "NCHW" else maps.transpose(1, 2, 0)
    output = float_output(1, *sent.shape, layout=layout)
    points, confidence = finish_decode(
        manifest_for("heatmaps", {"threshold": THRESHOLD}, output), [sent[None].astype(np.float32)]
    )
    np.testing.assert_allclose(points, to_pixels(reference_points(maps)), atol=1e-3)
    np.testing.assert_allclose(confidence, maps.max(axis=(1, 2)).clip(0, 1), atol=1e-6)
    assert np.abs(points - to_pixels(centres)).max() < STRIDE * 0.2, "the reference itself must find the peaks"
    assert points.dtype == confidence.dtype == np.float32


def test_moments() -> None:
    maps, _ = gaussian_maps()
    sent = reference_moments(maps).astype(np.float32).reshape(1, -1, 1, 1)
    manifest = manifest_for("moments", CONFIDENCE_PARAMS, float_output(*sent.shape))
    points, confidence = finish_decode(manifest, [sent])
    np.testing.assert_allclose(points, to_pixels(reference_points(maps)), atol=1e-3)
    peak = maps.max(axis=(1, 2))
    mass = np.maximum(maps - THRESHOLD * peak[:, None, None], 0).sum(axis=(1, 2))
    expected = np.minimum(peak, 1) * np.minimum(mass / (peak * IDEAL_MASS), peak * IDEAL_MASS / mass)
    np.testing.assert_allclose(confidence, expected, atol=1e-5)
    assert confidence.min() > 0.75, "one peak at full height is nearly sure"
    assert points.dtype == confidence.dtype == np.float32


@pytest.mark.parametrize(("dtype", "zero_point"), [("int16", 0), ("uint16", 32000), ("int32", -7)])
def test_quantized_moments(dtype: str, zero_point: int) -> None:
    maps, _ = gaussian_maps()
    real = reference_moments(maps)
    scale = float(np.abs(real).max() / 32000)
    stored = (np.rint(real / scale) + zero_point).astype(dtype).reshape(1, 1, 1, -1)
    output = TensorInfo("out", stored.shape, dtype, "NHWC", scale, zero_point)
    points, _ = finish_decode(manifest_for("moments", CONFIDENCE_PARAMS, output), [stored])
    # A moment is off by half a step of 1/32000 of the largest; over a mass of a few that is 1e-4 of the grid.
    np.testing.assert_allclose(points, to_pixels(reference_points(maps)), atol=1e-2)


def test_coordinates() -> None:
    cells = np.random.default_rng(1).uniform(0, CELLS - 1, (POINTS, 2))
    sent = cells.T.reshape(1, -1, 1, 1).astype(np.float32)
    points, confidence = finish_decode(manifest_for("coordinates", {}, float_output(*sent.shape)), [sent])
    np.testing.assert_allclose(points, to_pixels(cells), atol=1e-4)
    assert np.isnan(confidence).all()


def test_quantized_coordinates() -> None:
    stored = np.arange(-60, -60 + 2 * POINTS, dtype=np.int8).reshape(1, -1, 1, 1)
    output = TensorInfo("out", stored.shape, "int8", "NCHW", 0.25, -128)
    points, _ = finish_decode(manifest_for("coordinates", {}, output), [stored])
    expected = to_pixels((stored.ravel().astype(np.float64) + 128) * 0.25).reshape(2, -1).T
    np.testing.assert_allclose(points, expected, atol=1e-4)


@pytest.mark.parametrize("value", [0.0, -1.0])
def test_a_map_without_a_landmark_gives_the_middle_and_no_confidence(value: float) -> None:
    middle = np.full((POINTS, 2), (SIZE - 1) / 2)
    blank = np.full((1, POINTS, CELLS, CELLS), value, np.float32)
    by_maps = finish_decode(manifest_for("heatmaps", {"threshold": THRESHOLD}, float_output(*blank.shape)), [blank])
    empty = np.full((1, 5 * POINTS, 1, 1), value, np.float32)
    by_moments = finish_decode(manifest_for("moments", CONFIDENCE_PARAMS, float_output(*empty.shape)), [empty])
    for points, confidence in (by_maps, by_moments):
        np.testing.assert_array_equal(points, middle)
        np.testing.assert_array_equal(confidence, 0)


@given(
    stored=arrays(np.int16, (5 * POINTS,), elements=st.integers(-32768, 32767)),
    scale=st.sampled_from([1e-6, 1e-3, 1.0, 1e3]),
)
def test_any_moments_give_points_in_the_picture(stored: np.ndarray, scale: float) -> None:
    output = TensorInfo("out", (1, 5 * POINTS, 1, 1), "int16", "NCHW", scale, 0)
    manifest = manifest_for("moments", CONFIDENCE_PARAMS, output)
    points, confidence = finish_decode(manifest, [stored.reshape(output.shape)])
    assert (points >= STRIDE / 2 - 0.5).all()
    assert (points <= SIZE - STRIDE / 2 - 0.5).all()
    assert ((confidence >= 0) & (confidence <= 1)).all()


def test_dequantize_takes_unsigned_values_below_the_zero_point() -> None:
    info = TensorInfo("x", (2,), "uint8", "NCHW", 0.5, 200)
    np.testing.assert_array_equal(dequantize(np.array([0, 255], np.uint8), info), [-100, 27.5])


COORDINATES = np.zeros((1, 2 * POINTS, 1, 1), np.float32)
REFUSALS: list[tuple[str, dict[str, float], TensorInfo, list[np.ndarray], str]] = [
    ("magic", {}, float_output(1, 2), [COORDINATES], "this runtime knows coordinates, moments, sums, blocks"),
    ("moments", {"step_x": 1.0}, float_output(1, 20), [COORDINATES], "does not give offset_x, offset_y, step_y"),
    ("moments", MOMENT_PARAMS | {"step_y": 0}, float_output(1, 20), [COORDINATES], "step_y must be positive"),
    ("coordinates", {}, float_output(1, 9), [COORDINATES], "it takes one output of 10 numbers"),
    ("coordinates", {}, float_output(*COORDINATES.shape), [COORDINATES[:, 1:]], "the manifest says (1, 10, 1, 1)"),
    ("coordinates", {}, float_output(*COORDINATES.shape), [COORDINATES] * 2, "the manifest says (1, 10, 1, 1)"),
    ("coordinates", {}, float_output(*COORDINATES.shape), [], "the outputs are []"),
    ("coordinates", {}, float_output(*COORDINATES.shape), [COORDINATES.astype(np.int8)], "'int8'"),
    ("coordinates", {}, float_output(*COORDINATES.shape), [COORDINATES + np.nan], "values that are not finite"),
]


@pytest.mark.parametrize(("finish", "params", "output", "outputs", "reason"), REFUSALS)
def test_what_does_not_fit_is_refused(
    finish: str, params: dict[str, float], output: TensorInfo, outputs: list[Any], reason: str
) -> None:
    with pytest.raises(UserError) as caught:
        finish_decode(manifest_for(finish, params, output), outputs)
    assert reason in str(caught.value)
