"""Each camera effect does what its name says, and nothing happens where none is asked for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_toolkit.camera_effects import CameraEffects, camera_picture

NONE = CameraEffects(0, 0, 0, 0, 0, 0, 0, 0)
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def picture() -> Picture:
    """A soft coloured picture with a bright dot in its middle."""
    rng = np.random.default_rng(0)
    soft = cv2.GaussianBlur(rng.integers(60, 190, (96, 96, 3)).astype(np.float32), (0, 0), 1.2)
    soft[47:50, 47:50] = 255
    return soft.astype(np.uint8)


def _drawn(picture: Picture, how: CameraEffects, count: int = 12) -> list[Picture]:
    return [camera_picture(picture, how, np.random.default_rng(seed)) for seed in range(count)]


def _sharpness(picture: Picture) -> float:
    return float(cv2.Laplacian(picture.astype(np.float32), cv2.CV_32F).std())


def _noise(picture: Picture) -> float:
    return float((picture.astype(np.float32) - cv2.GaussianBlur(picture.astype(np.float32), (0, 0), 3)).std())


def _in_order(before: Picture, after: Picture) -> bool:
    """Whether a brighter pixel stayed the brighter one."""
    return bool((np.diff(after.ravel()[np.argsort(before.ravel(), kind="stable")].astype(int)) >= 0).all())


def test_no_effect_is_none(picture: Picture) -> None:
    for out in _drawn(picture, NONE):
        assert np.abs(out.astype(int) - picture).max() <= 1


@pytest.mark.parametrize(
    ("change", "does"),
    [
        ({"grey": 1.0}, lambda before, after: np.ptp(after, axis=2).max() <= 1 < np.ptp(before, axis=2).max()),
        ({"blur": 1.0}, lambda before, after: _sharpness(after) < 0.9 * _sharpness(before)),
        ({"motion": 1.0}, lambda before, after: _sharpness(after) <= _sharpness(before) * 1.01),
        ({"low_resolution": 1.0}, lambda before, after: _sharpness(after) < 0.9 * _sharpness(before)),
        ({"noise": 1.0}, lambda before, after: _noise(after) >= 0.99 * _noise(before)),
        ({"jpeg": 1.0}, lambda before, after: 0 < np.abs(after.astype(int) - before).mean() < 12),
        ({"colour": 0.3}, lambda before, after: np.abs(after.astype(int) - before).mean() > 0.5),
        ({"gamma": 0.5}, lambda before, after: _in_order(before, after)),
        ({"shade": 1.0}, lambda before, after: (after <= before).all() and (after < before).any()),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)  # fmt: skip
def test_each_does_what_its_name_says(
    picture: Picture, change: dict[str, float], does: Callable[[Picture, Picture], bool]
) -> None:
    drawn = _drawn(picture, replace(NONE, **change))
    assert all(does(picture, out) for out in drawn)
    assert len({out.tobytes() for out in drawn}) > 1 or change == {"grey": 1.0}


def test_motion_leaves_a_trace_around_where_the_dot_was(picture: Picture) -> None:
    dot = np.zeros_like(picture)
    dot[47:50, 47:50] = 255
    for out in _drawn(dot, replace(NONE, motion=1.0, longest_motion=0.2)):
        ys, xs = np.nonzero(out[..., 0] > 8)
        assert abs(np.average(xs, weights=out[ys, xs, 0]) - 48) < 0.8
        assert abs(np.average(ys, weights=out[ys, xs, 0]) - 48) < 0.8


def test_a_shade_lies_on_one_side_and_takes_no_more_light_than_it_may() -> None:
    flat = np.full((96, 96, 3), 200, np.uint8)
    for out in _drawn(flat, replace(NONE, shade=1.0, deepest_shade=0.5)):
        assert out.min() >= 99
        np.testing.assert_array_equal(out, out[..., :1].repeat(3, axis=2))  # it has no colour
        corners = np.sort(out[[0, 0, -1, -1], [0, -1, 0, -1], 0])
        assert corners[0] == out.min()
        assert corners[-1] == out.max()


def test_shot_noise_grows_with_the_light() -> None:
    flat = np.zeros((96, 96, 3), np.uint8)
    flat[:, :48], flat[:, 48:] = 40, 200
    out = camera_picture(flat, replace(NONE, noise=1.0), np.random.default_rng(1)).astype(float)
    assert out[:, 48:].std() > 1.1 * out[:, :48].std()


def test_the_same_draw_gives_the_same_picture(picture: Picture) -> None:
    how = CameraEffects(noise=1, jpeg=1, motion=1)
    first, second = (camera_picture(picture, how, np.random.default_rng(3)) for _ in range(2))
    np.testing.assert_array_equal(first, second)
