from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from npuface_runtime.geometry import Crop, Shape, box_of_points, crop_of_box

CROPS = st.builds(
    Crop,
    x=st.floats(-500, 3000),
    y=st.floats(-500, 3000),
    side=st.floats(8, 3000),
    angle=st.floats(-math.pi, math.pi),
)
SHAPES = st.tuples(st.integers(16, 512), st.integers(16, 512))
POINTS = arrays(np.float32, (5, 2), elements=st.floats(-300, 300, width=32))


@given(crop=CROPS, points=POINTS, shape=SHAPES)
def test_the_way_back_undoes_the_way_there(crop: Crop, points: np.ndarray, shape: Shape) -> None:
    there_and_back = crop.to_input(crop.to_frame(points, shape), shape)
    rounding = 2e-3 * max(1, 1 / crop.pixel(shape))  # frame coordinates are float32
    np.testing.assert_allclose(there_and_back, points, atol=rounding, rtol=1e-4)


@given(crop=CROPS, size=st.integers(16, 512))
def test_the_corners_of_the_input_are_the_corners_of_the_turned_square(crop: Crop, size: int) -> None:
    half = crop.side / 2
    along = np.array([math.cos(crop.angle), math.sin(crop.angle)])
    across = np.array([-math.sin(crop.angle), math.cos(crop.angle)])
    top_left = np.array([crop.x, crop.y]) - half * along - half * across
    got = crop.to_frame(np.array([[-0.5, -0.5]]), (size, size))[0]
    np.testing.assert_allclose(got, top_left, atol=2e-3)


@given(crop=CROPS, shape=SHAPES)
def test_the_side_becomes_the_shorter_side_of_the_input(crop: Crop, shape: Shape) -> None:
    middle, side = np.array([(shape[1] - 1) / 2, (shape[0] - 1) / 2]), min(shape)
    ends = crop.to_frame(middle + np.array([(0, 0), (side, 0), (0, side)]), shape)
    np.testing.assert_allclose(ends[0], (crop.x, crop.y), atol=2e-3)
    lengths = np.linalg.norm(ends[1:].astype(np.float64) - ends[0], axis=1)
    np.testing.assert_allclose(lengths, crop.side, atol=4e-3, rtol=1e-5)


def test_a_crop_the_size_of_the_input_only_shifts() -> None:
    crop = Crop(x=99.5, y=49.5, side=64)
    np.testing.assert_allclose(crop.to_input(np.array([[68.0, 18.0]]), (64, 64)), [[0, 0]], atol=1e-6)
    np.testing.assert_allclose(crop.to_frame(np.array([[63.0, 63.0]]), (64, 64)), [[131, 81]], atol=1e-6)


def test_the_crop_of_a_box_is_its_longer_side_times_the_margin() -> None:
    assert crop_of_box((10, 20, 50, 40), 1.5) == Crop(30, 30, 60)
    assert crop_of_box((10, 20, 10, 20), 1.5).side == 1.5


def test_the_box_of_points_is_tight() -> None:
    points = np.array([[3, 9], [-1, 4], [2, 5]], np.float32)
    np.testing.assert_array_equal(box_of_points(points), [-1, 4, 3, 9])
