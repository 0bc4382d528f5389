from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from npuface_benchmarks.cpu_decode import SoftArgmax
from npuface_runtime.manifest import TensorInfo

TOLERANCE = 2e-3
"""Cells. float32 sums of up to 4096 weights times coordinates up to 63."""


def reference(maps: NDArray[np.float64], beta: float) -> NDArray[np.float64]:
    """Softargmax of [K, H, W] as equations: softmax over all cells, then the mean x and y."""
    points = []
    for heatmap in maps:
        weights = np.exp(beta * (heatmap - heatmap.max()))
        weights /= weights.sum()
        points.append(
            (
                sum(i * weights[:, i].sum() for i in range(heatmap.shape[1])),
                sum(j * weights[j].sum() for j in range(heatmap.shape[0])),
            )
        )
    return np.array(points)


def peaks(points: int, height: int, width: int, seed: int) -> NDArray[np.float64]:
    """Gaussians with noise [K, H, W]."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    centres = rng.uniform(0, 1, (points, 2, 1, 1)) * np.array([width - 1, height - 1]).reshape(1, 2, 1, 1)
    squares = (x - centres[:, 0]) ** 2 + (y - centres[:, 1]) ** 2
    return np.exp(-squares / 4.5) + rng.normal(0, 0.02, (points, height, width))


def as_tensor(maps: NDArray[Any], layout: str) -> NDArray[Any]:
    return np.ascontiguousarray((maps if layout == "NCHW" else maps.transpose(1, 2, 0))[None])


def info_of(tensor: NDArray[Any], layout: str, scale: float | None = None, zero: int | None = None) -> TensorInfo:
    return TensorInfo("heatmaps", tensor.shape, tensor.dtype.name, layout, scale, zero)


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@given(
    points=st.integers(1, 5),
    height=st.integers(2, 64),
    width=st.integers(2, 64),
    beta=st.floats(1, 40),
    seed=st.integers(0, 1000),
)
@settings(max_examples=40, deadline=None)
def test_float_maps_match_the_reference(
    layout: str, points: int, height: int, width: int, beta: float, seed: int
) -> None:
    maps = peaks(points, height, width, seed).astype(np.float32)
    tensor = as_tensor(maps, layout)
    found = SoftArgmax(info_of(tensor, layout), maps.shape, beta)(tensor)
    assert found.dtype == np.float32
    assert np.abs(found - reference(maps.astype(np.float64), beta)).max() < TOLERANCE


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize(("dtype", "zero"), [("int8", -100), ("uint8", 28), ("int16", 0), ("uint16", 300)])
def test_quantized_maps_match_the_reference_on_their_real_values(layout: str, dtype: str, zero: int) -> None:
    limits = np.iinfo(dtype)
    scale = 1.1 / min(limits.max - zero, 30000)
    stored = np.clip(np.rint(peaks(6, 64, 48, 3) / scale) + zero, limits.min, limits.max).astype(dtype)
    tensor = as_tensor(stored, layout)
    found = SoftArgmax(info_of(tensor, layout, scale, zero), stored.shape, 20.0)(tensor)
    real = (stored.astype(np.float64) - zero) * scale
    assert np.abs(found - reference(real, 20.0)).max() < TOLERANCE
    assert np.abs(found - reference(peaks(6, 64, 48, 4), 20.0)).max() > 1  # the check can fail


def test_full_integer_range_does_not_wrap() -> None:
    stored = np.full((1, 4, 4), -128, np.int8)
    stored[0, 1, 2] = 127
    tensor = as_tensor(stored, "NCHW")
    found = SoftArgmax(info_of(tensor, "NCHW", 0.1, -128), stored.shape, 20.0)(tensor)
    assert found.tolist() == [[2, 1]]


def test_a_flat_map_is_its_middle_and_every_call_starts_anew() -> None:
    flat, peaked = np.zeros((1, 1, 8, 8), np.float32), np.zeros((1, 1, 8, 8), np.float32)
    peaked[0, 0, 6, 1] = 5
    decode = SoftArgmax(info_of(flat, "NCHW"), (1, 8, 8), 20.0)
    assert np.allclose(decode(flat), [[3.5, 3.5]])
    assert np.allclose(decode(peaked), [[1, 6]], atol=1e-5)
    assert np.allclose(decode(flat), [[3.5, 3.5]])
