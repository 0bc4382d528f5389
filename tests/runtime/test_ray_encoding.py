"""The host half of a renderer: encodings of points."""

from __future__ import annotations

import numpy as np
import pytest

from npuface_runtime.ray_encoding import encode


@pytest.mark.parametrize(("octaves", "off"), [(1, 1e-6), (5, 1e-5), (10, 1e-3)])
def test_octaves_by_doubling_are_sines_and_cosines(octaves: int, off: float) -> None:
    points = np.random.default_rng(0).uniform(-1.9, 1.9, (3, 7, 11)).astype(np.float32)
    made = np.empty((6 * octaves, 7, 11), np.float32)
    encode(points, made)
    angles = [2.0**k * np.pi / 2 * points.astype(np.float64) for k in range(octaves)]
    wanted = np.concatenate([part for angle in angles for part in (np.sin(angle), np.cos(angle))])
    assert np.abs(made - wanted).max() <= off
