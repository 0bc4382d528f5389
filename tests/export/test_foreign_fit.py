"""Beta and threshold for networks that nobody here trained, on maps whose best values are known."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import AvgPool2d

from npuface_export.calibration import CalibrationFaces
from npuface_export.decode import form_by_name
from npuface_export.foreign.fit import LIMIT, fit_decode
from npuface_export.foreign.sub_pixel import sub_pixel_argmax
from npuface_export.network import Network

HEIGHT, WIDTH, STRIDE, SIGMA = 24, 30, 4, 1.8
Own = Callable[[Tensor], Tensor]


def network(own: Own | None = None) -> Network:
    """Its three heatmaps are the picture's three channels, averaged over each cell."""
    return Network(
        name="drawn",
        module=AvgPool2d(STRIDE).eval(),
        input_shape=(HEIGHT * STRIDE, WIDTH * STRIDE),
        heatmap_shape=(HEIGHT, WIDTH),
        cell_scale=(STRIDE, STRIDE),
        cell_offset=((STRIDE - 1) / 2, (STRIDE - 1) / 2),
        points=3,
        scheme="test-3",
        mean=(0.0, 0.0, 0.0),
        std=(255.0, 255.0, 255.0),
        margin=1.3,
        threshold=0.3,
        beta=20.0,
        sigma=1.5,
        own_points=own,
    )


def pictures(count: int, seed: int, noise: float = 0.02) -> list[NDArray[np.float32]]:
    """A Gaussian in each channel, RGB [H, W, 3] in 0..255."""
    rng = np.random.default_rng(seed)
    rows, columns = (np.arange(n * STRIDE) / STRIDE for n in (HEIGHT, WIDTH))
    made = []
    for _ in range(count):
        x, y = rng.uniform(5, WIDTH - 6, 3), rng.uniform(5, HEIGHT - 6, 3)
        squared = (columns[None, :, None] - x) ** 2 + (rows[:, None, None] - y) ** 2
        drawn = np.exp(-squared / (2 * SIGMA**2)) + rng.uniform(0, noise, squared.shape)
        made.append((255 * drawn).astype(np.float32))
    return made


FACES = CalibrationFaces(pictures(12, 0), pictures(6, 1), 18, 0, 0, True)
NOISY = CalibrationFaces(pictures(12, 0, 2.0), pictures(6, 1, 2.0), 18, 0, 0, True)


def form_points(name: str, **changes: float) -> Own:
    spec = replace(network().spec, **changes)
    return lambda maps: form_by_name(name).points(maps, spec)


def test_beta_is_that_of_the_models_own_softargmax() -> None:
    found = fit_decode(network(form_points("seed", beta=12.0)), FACES)
    assert found.beta == pytest.approx(12, rel=0.15)
    assert found.error is not None
    assert found.error_before is not None
    assert found.error < 0.25 * found.error_before
    assert (found.beta_before, found.faces, found.warning) == (20, 6, None)


def test_threshold_is_that_of_the_models_own_decode() -> None:
    found = fit_decode(network(form_points("relative-threshold", threshold=0.55)), FACES)
    assert found.threshold == found.threshold_in_use == pytest.approx(0.55)
    assert found.threshold_error < 1e-4
    assert found.threshold_before == 0.3
    assert found.threshold_error_before > found.threshold_error
    assert found.reference == "the model's own decode"


def test_a_threshold_that_is_only_nearer_to_the_argmax_is_told_and_not_taken() -> None:
    """Second peaks beside the first draw the mean away from the argmax, the less the higher the threshold is."""
    beside = [p + 0.8 * np.roll(p, 3 * STRIDE, axis=1) for p in (*FACES.varied, *FACES.plain)]
    found = fit_decode(network(), CalibrationFaces(beside[:12], beside[12:], 18, 0, 0, True))
    assert found.reference == "the sub-pixel argmax"
    assert found.threshold_error < 0.5 * found.threshold_error_before
    assert (found.threshold_before, found.threshold_in_use) == (0.3, 0.3)


def test_a_threshold_that_is_no_better_on_the_other_faces_is_not_taken() -> None:
    """What it is chosen on has its landmarks by another threshold than what it is measured on."""

    def own(maps: Tensor) -> Tensor:
        return form_points("relative-threshold", threshold=0.7 if len(maps) == 12 else 0.3)(maps)

    found = fit_decode(network(own), FACES)
    assert (found.threshold, found.threshold_in_use) == (pytest.approx(0.7), 0.3)
    assert found.threshold_error > found.threshold_error_before == 0


def test_a_better_beta_has_less_background_bias_than_the_published_one() -> None:
    """Against the sub-pixel argmax, on maps so flat that beta 20 leaves the background a part."""
    faint = CalibrationFaces([p * 0.25 for p in FACES.varied], [p * 0.25 for p in FACES.plain], 18, 0, 0, True)
    found = fit_decode(network(), faint)
    assert found.beta is not None
    assert found.bias is not None
    assert found.bias_before is not None
    assert found.beta > 40
    assert found.bias < 0.1 * found.bias_before
    assert found.bias_before > 0.5
    assert found.sigma == pytest.approx(SIGMA, rel=0.15)
    assert found.warning is None


def test_it_warns_when_neither_a_threshold_nor_a_beta_is_good() -> None:
    found = fit_decode(network(lambda maps: torch.full((len(maps), 3, 2), 3.0)), FACES)
    assert found.warning is not None
    assert "neither a threshold nor a beta is good" in found.warning
    assert f"over {LIMIT:g}" in found.warning


def test_it_does_not_warn_of_beta_where_the_threshold_is_good() -> None:
    """In so much noise no softmax finds what the model's own threshold does."""
    found = fit_decode(network(form_points("relative-threshold", threshold=0.55)), NOISY)
    assert found.error is not None
    assert found.error > LIMIT
    assert found.threshold_error < 0.01
    assert found.warning is None


def test_a_network_without_a_beta_is_warned_of_its_threshold_alone() -> None:
    offsets = replace(network(lambda maps: torch.full((len(maps), 1, 2), 3.0)), kind="heatmap-offset", points=1)
    found = fit_decode(offsets, FACES)
    assert found.beta is None
    assert str(found.warning).startswith("no threshold is good")


def test_sub_pixel_argmax_is_near_the_peak_it_is_shown() -> None:
    rng = np.random.default_rng(0)
    points = rng.uniform(2, 13, (50, 2))
    y, x = np.mgrid[:16, :16]
    squared = (x - points[:, 0, None, None]) ** 2 + (y - points[:, 1, None, None]) ** 2
    maps = torch.from_numpy(np.exp(-squared / (2 * SIGMA**2)).astype(np.float32))[None]
    found = sub_pixel_argmax(maps)[0].numpy()
    assert np.abs(found - points).max() < 0.05
    whole = np.rint(points)
    assert np.abs(whole - points).mean() > 5 * np.abs(found - points).mean(), "whole cells are much farther off"


def test_sub_pixel_argmax_stays_in_the_map() -> None:
    maps = torch.zeros(1, 3, 8, 9)
    maps[0, 0, 0, 0], maps[0, 1, 7, 8] = 1.0, 1.0
    np.testing.assert_array_equal(sub_pixel_argmax(maps)[0], [[0, 0], [8, 7], [0, 0]])
