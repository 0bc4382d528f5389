"""The one-euro filter against the pseudocode of its paper, number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from npuface_runtime import Smoothing, UserError
from npuface_runtime.smoothing import OneEuro

HOW = Smoothing(min_cutoff=1.2, beta=5.0, speed_cutoff=0.8)
SIDE = 90.0


def alpha(cutoff: float, elapsed: float) -> float:
    """Algorithm 1 of the paper: 1 / (1 + tau / Te)."""
    return 1 / (1 + 1 / (2 * math.pi * cutoff) / elapsed)


def published(track: list[tuple[float, float]], times: list[float]) -> list[tuple[float, float]]:
    """One point's way through the paper's filter, scalar by scalar, with the length of its speed over the side."""
    out, speed = [track[0]], (0.0, 0.0)
    for now, elapsed in zip(track[1:], np.diff(times), strict=True):
        d = alpha(HOW.speed_cutoff, elapsed)
        speed = tuple(
            d * (v - last) / elapsed / SIDE + (1 - d) * s for v, last, s in zip(now, out[-1], speed, strict=True)
        )
        a = alpha(HOW.min_cutoff + HOW.beta * math.hypot(*speed), elapsed)
        out.append(tuple(a * v + (1 - a) * last for v, last in zip(now, out[-1], strict=True)))
    return out


def test_it_is_the_published_filter() -> None:
    rng = np.random.default_rng(0)
    times = np.cumsum(rng.uniform(0.01, 0.1, 40))
    points = np.cumsum(rng.normal(0, 4, (40, 3, 2)), axis=0).astype(np.float32)
    smoother = OneEuro(HOW)
    smoothed = np.stack([smoother.smooth(p, float(t), SIDE) for p, t in zip(points, times, strict=True)])
    for k in range(3):
        expected = published([(float(x), float(y)) for x, y in points[:, k]], list(times))
        np.testing.assert_allclose(smoothed[:, k], expected, rtol=1e-5, atol=1e-3)


def test_a_still_face_holds_still_and_a_moving_one_does_not_lag() -> None:
    rng = np.random.default_rng(1)
    noise = rng.normal(0, 0.5, (200, 5, 2))
    still, moving = OneEuro(Smoothing()), OneEuro(Smoothing())
    rest = np.stack([still.smooth(50 + n, i / 30, 100.0) for i, n in enumerate(noise)])
    assert rest[50:].std(axis=0).mean() < 0.7 * noise[50:].std(axis=0).mean()
    way = np.arange(200)[:, None, None] * np.array([4.0, 0.0]) + noise
    seen = np.stack([moving.smooth(p, i / 30, 100.0) for i, p in enumerate(way)])
    assert np.abs((seen - way)[50:, :, 0].mean()) < 0.5, "pixels behind, of 4 a frame"


@pytest.mark.parametrize("time", [1.0, 0.5])
def test_time_that_does_not_go_on_starts_anew(time: float) -> None:
    smoother = OneEuro(Smoothing())
    smoother.smooth(np.zeros((2, 2)), 1.0, SIDE)
    np.testing.assert_array_equal(smoother.smooth(np.full((2, 2), 30.0), time, SIDE), np.full((2, 2), 30.0))


@pytest.mark.parametrize(
    ("name", "value"), [("min_cutoff", 0.0), ("beta", -1.0), ("speed_cutoff", math.nan), ("beta", math.inf)]
)
def test_numbers_out_of_range_are_refused(name: str, value: float) -> None:
    with pytest.raises(UserError) as caught:
        Smoothing(**{name: value})
    assert f"cannot smooth with {name}" in caught.value.what
