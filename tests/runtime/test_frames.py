from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from npuface_runtime.errors import UserError
from npuface_runtime.frames import as_rgb

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (5, 7, 3), dtype=np.uint8)


def test_rgb_bytes_are_not_copied() -> None:
    assert np.shares_memory(as_rgb(RGB), RGB)


def test_bgr_is_turned_round() -> None:
    np.testing.assert_array_equal(as_rgb(RGB[:, :, ::-1], "bgr"), RGB)
    bgra = np.dstack([RGB[:, :, ::-1], np.zeros((5, 7), np.uint8)])
    np.testing.assert_array_equal(as_rgb(bgra, "bgr"), RGB)


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1)])
def test_grey_fills_three_channels(shape: tuple[int, ...]) -> None:
    grey = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(as_rgb(grey), np.repeat(grey.reshape(5, 7, 1), 3, axis=2))


@pytest.mark.parametrize("alpha", [0, 128, 255])
def test_alpha_is_dropped(alpha: int) -> None:
    np.testing.assert_array_equal(as_rgb(np.dstack([RGB, np.full((5, 7), alpha, np.uint8)])), RGB)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("top", [1, 255])
def test_floats_in_both_ranges_give_the_same_bytes(dtype: Any, top: int) -> None:
    np.testing.assert_array_equal(as_rgb((RGB.astype(np.float64) * (top / 255)).astype(dtype)), RGB)


def test_a_frame_of_other_strides_becomes_contiguous() -> None:
    got = as_rgb(np.asfortranarray(RGB)[::-1])
    assert got.flags.c_contiguous
    np.testing.assert_array_equal(got, RGB[::-1])


@pytest.mark.parametrize(
    ("frame", "reason"),
    [
        (np.zeros((0, 7, 3), np.uint8), "it is empty, its shape is (0, 7, 3)"),
        (np.zeros((5, 0), np.float32), "it is empty"),
        (np.zeros(5, np.uint8), "its shape is (5,)"),
        (np.zeros((1, 5, 7, 3), np.uint8), "its shape is (1, 5, 7, 3)"),
        (np.zeros((3, 5, 7), np.uint8), "its shape is (3, 5, 7)"),
        (np.zeros((5, 7, 2), np.uint8), "its shape is (5, 7, 2)"),
        (np.zeros((5, 7), np.uint16), "its values are uint16"),
        (np.zeros((5, 7), bool), "its values are bool"),
        (np.zeros((5, 7), complex), "its values are complex128"),
        (np.full((5, 7, 3), np.nan), "its values are not finite"),
        (np.full((5, 7, 3), np.inf, np.float32), "its values are not finite"),
        (np.full((5, 7, 3), -0.5), "they run from -0.5 to -0.5"),
        (np.full((5, 7, 3), 256.0), "they run from 256 to 256"),
        ("picture.jpg", "its shape is ()"),
        (None, "its shape is ()"),
        ([[1, 2], [3]], "its rows have different lengths"),
    ],
)
def test_what_is_no_frame_is_refused_with_its_reason(frame: Any, reason: str) -> None:
    with pytest.raises(UserError, match="cannot use this frame") as caught:
        as_rgb(frame)
    assert reason in caught.value.why


def test_one_value_that_is_not_finite_is_enough() -> None:
    frame = np.zeros((5, 7, 3), np.float32)
    frame[2, 3, 1] = np.nan
    with pytest.raises(UserError, match="not finite"):
        as_rgb(frame)


def test_an_unknown_colour_order_is_refused() -> None:
    with pytest.raises(UserError, match="unknown colour order 'hsv'"):
        as_rgb(RGB, "hsv")


@given(
    st.one_of(
        arrays(dtype, array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5))
        for dtype in (np.uint8, np.int32, np.float32, np.bool_)
    )
)
def test_any_array_gives_rgb_or_a_user_error(frame: np.ndarray) -> None:
    try:
        rgb = as_rgb(frame)
    except UserError:
        return
    assert rgb.dtype == np.uint8
    assert rgb.shape == (*frame.shape[:2], 3)
