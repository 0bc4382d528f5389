"""Crops and augmentation keep points and pixels together."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npuface_runtime.geometry import Crop
from npuface_toolkit.augment import Augmentation, augmented_crop, plain_crop, warp
from npuface_toolkit.camera_effects import CameraEffects
from npuface_toolkit.schemes import IBUG_68

NONE = CameraEffects(0, 0, 0, 0, 0, 0, 0, 0)
PLAIN = Augmentation(occlusion=0, camera=NONE)


def _dotted(points: np.ndarray, side: int = 300) -> np.ndarray:
    """A black picture with a soft white dot at each point."""
    grid = np.arange(side)
    picture = np.zeros((side, side))
    for x, y in points:
        picture += np.exp(-((grid[None, :] - x) ** 2 + (grid[:, None] - y) ** 2) / (2 * 3.0**2))
    return np.repeat((picture.clip(0, 1) * 255).astype(np.uint8)[..., None], 3, axis=2)


def _spread_points() -> np.ndarray:
    """68 points of which three, far apart, are known: a corner pair that mirrors each other, and the chin."""
    points = np.full((68, 2), 150.0, np.float32)
    points[36], points[45], points[8] = (90, 100), (210, 110), (150, 230)
    return points


def _centre_near(picture: np.ndarray, x: float, y: float, radius: int = 12) -> tuple[float, float]:
    grey = picture[..., 0].astype(float)
    x0, y0 = round(x) - radius, round(y) - radius
    window = grey[y0 : y0 + 2 * radius + 1, x0 : x0 + 2 * radius + 1]
    ys, xs = np.mgrid[0 : window.shape[0], 0 : window.shape[1]]
    return x0 + (window * xs).sum() / window.sum(), y0 + (window * ys).sum() / window.sum()


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10_000))
def test_points_move_with_the_picture(seed: int) -> None:
    """A bright dot stays at its point, within half a pixel, whatever the draw; flips swap the eye corners."""
    points = _spread_points()
    picture = _dotted(points[[36, 45, 8]])
    rng = np.random.default_rng(seed)
    cut, moved, _ = augmented_crop(picture, points, 256, IBUG_68, PLAIN, rng)
    for index in (36, 45, 8):
        x, y = moved[index]
        if 14 < x < 241 and 14 < y < 241:
            found = _centre_near(cut, x, y)
            assert np.hypot(found[0] - x, found[1] - y) < 0.5


@pytest.mark.parametrize("side", [600, 2000])
def test_shrinking_does_not_alias(side: int) -> None:
    """A fine chessboard becomes grey when it is shrunk far, and the crop keeps its place."""
    picture = np.indices((side, side)).sum(axis=0) % 2 * 255
    picture = np.repeat(picture.astype(np.uint8)[..., None], 3, axis=2)
    cut = warp(picture, Crop((side - 1) / 2, (side - 1) / 2, side), 128)
    assert abs(cut[8:-8, 8:-8].astype(float) - 127.5).max() < 40


def test_plain_crop_centres_the_face() -> None:
    points = _spread_points()
    cut, moved, crop = plain_crop(_dotted(points[[36]]), points, 256, 1.3)
    assert cut.shape == (256, 256, 3)
    assert crop.side == pytest.approx(130 * 1.3)
    box = np.concatenate([moved.min(axis=0), moved.max(axis=0)])
    np.testing.assert_allclose((box[:2] + box[2:]) / 2, 127.5, atol=1e-3)


def test_the_same_draw_gives_the_same_sample() -> None:
    points = _spread_points()
    picture = _dotted(points[[36, 45]])
    how = Augmentation()
    first, second = (augmented_crop(picture, points, 64, IBUG_68, how, np.random.default_rng(7)) for _ in range(2))
    np.testing.assert_array_equal(first[0], second[0])
    other, _, _ = augmented_crop(picture, points, 64, IBUG_68, how, np.random.default_rng(8))
    assert (first[0] != other).any()


def test_occlusion_covers_part_of_the_picture_only() -> None:
    points = _spread_points()
    how = Augmentation(rotation=0, scale=0, shift=0, flip=0, occlusion=1, camera=NONE)
    picture = np.full((300, 300, 3), 128, np.uint8)
    cut, _, _ = augmented_crop(picture, points, 128, IBUG_68, how, np.random.default_rng(0))
    changed = (cut != 128).any(axis=2).mean()
    assert 0.005 < changed < 0.15


@pytest.mark.parametrize("side", [517, 1031])
def test_shrinking_keeps_the_place(side: int) -> None:
    """A wide soft dot stays where the crop's own map says, within a tenth of a pixel, at sizes that do not divide."""
    grid = np.arange(side)
    x, y = 0.8 * side, 0.7 * side
    dot = np.exp(-((grid[None, :] - x) ** 2 + (grid[:, None] - y) ** 2) / (2 * (side / 40) ** 2))
    picture = np.repeat((dot * 255).astype(np.uint8)[..., None], 3, axis=2)
    crop = Crop((side - 1) / 2, (side - 1) / 2, side)
    expected = crop.to_input(np.array([[x, y]]), (128, 128))[0]
    found = _centre_near(warp(picture, crop, 128), *expected)
    assert np.hypot(*(np.array(found) - expected)) < 0.1
