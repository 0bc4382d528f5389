"""Ranges of activations: what 8 bits hold best, and what one odd picture may do to it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from npuface_export.converters.ranges import Observer, best_range, seen, typical

Range = tuple[float, float]
ENDS = st.lists(
    st.tuples(st.just(0.0) | st.floats(-1e6, -1e-3), st.just(0.0) | st.floats(1e-3, 1e6)), min_size=1, max_size=20
)


def observed(strengths: list[float]) -> Observer:
    """Normal activations of that standard deviation, one a picture."""
    rng, observer = np.random.default_rng(0), Observer()
    for strength in strengths:
        observer.see("x", (strength * rng.standard_normal((1, 8, 16, 16))).astype(np.float32))
    return observer


def error(values: np.ndarray, ends: Range) -> float:
    """Mean squared error of 256 steps over a range, as a quantizer rounds."""
    low, high = ends
    step = (high - low) / 255
    return float(np.mean((np.round((values.clip(low, high) - low) / step) * step + low - values) ** 2))


def test_one_odd_picture_of_many_does_not_take_the_range() -> None:
    """An activation thirty times as strong, in one crop of forty: the others keep their steps."""
    quiet = observed([1.0] * 39).ranges()["x"]
    found = observed([1.0] * 39 + [30.0]).ranges()["x"]
    assert found == pytest.approx(quiet, rel=0.1)
    low, high = observed([1.0] * 39 + [30.0]).ranges(whole=["x"])["x"]
    assert high - low > 10 * (quiet[1] - quiet[0]), "what has to be whole stays whole"


def test_the_range_has_less_error_than_all_that_was_seen() -> None:
    values = np.random.default_rng(1).laplace(size=100_000).astype(np.float32)
    widest = (float(values.min()), float(values.max()))
    found = best_range(values, widest)
    assert error(values, found) < 0.9 * error(values, widest)


def test_an_activation_that_most_pictures_leave_at_zero_keeps_its_range() -> None:
    assert typical([*[(0.0, 0.0)] * 4, (0.0, 5.0)]) == (0.0, 5.0)
    assert typical([(0.0, 0.0), (0.0, 0.0)]) == (0.0, 0.0)


@settings(max_examples=50, deadline=None)
@given(ENDS)
def test_the_typical_range_lies_within_all_and_holds_zero(ends: list[Range]) -> None:
    low, high = typical(ends)
    lowest, highest = seen(ends)
    assert lowest <= low <= 0 <= high <= highest
    samples = np.linspace(lowest, highest, 100, dtype=np.float32)
    found = best_range(samples, (low, high))
    assert low <= found[0] <= 0 <= found[1] <= high
