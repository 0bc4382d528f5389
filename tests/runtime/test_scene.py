"""A cut is told from a lamp, a moving face and an empty picture."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_runtime.scene import SceneWatch


def scene(seed: int, height: int = 120, width: int = 160) -> NDArray[np.uint8]:
    patches = np.random.default_rng(seed).integers(30, 220, (6, 8, 3))
    return np.asarray(np.kron(patches, np.ones((height // 6, width // 8, 1))), np.uint8)


def is_cut(*frames: NDArray[np.uint8]) -> bool:
    watch = SceneWatch()
    return [watch.is_cut(frame) for frame in frames][-1]


BLACK = np.zeros((120, 160, 3), np.uint8)


@pytest.mark.parametrize("seed", range(8))
def test_another_scene_is_a_cut(seed: int) -> None:
    assert is_cut(scene(seed), scene(seed + 100))
    assert is_cut(scene(seed), scene(seed + 100, 240, 320))
    assert is_cut(BLACK, scene(seed))
    assert is_cut(scene(seed), BLACK)


@pytest.mark.parametrize("seed", range(8))
def test_light_noise_and_motion_are_none(seed: int) -> None:
    rng = np.random.default_rng(seed)
    first = scene(seed)
    dimmed = (first * 0.6).astype(np.uint8)
    noisy = np.clip(first + rng.normal(0, 15, first.shape), 0, 255).astype(np.uint8)
    moved = np.roll(first, (3, 5), axis=(0, 1))
    face = first.copy()
    face[30:80, 40:90] = 200
    for second in (first, dimmed, noisy, moved, face):
        assert not is_cut(first, second)


def test_the_first_frame_and_empty_pictures_are_none() -> None:
    assert not is_cut(scene(0))
    assert not is_cut(BLACK, BLACK + 40)
    assert not is_cut(BLACK[:1, :1], BLACK[:1, :1])
