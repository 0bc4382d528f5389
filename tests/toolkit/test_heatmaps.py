"""Target heatmaps, losses and metrics against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from npuface_toolkit.heatmaps import boundary_heatmaps, landmark_heatmaps
from npuface_toolkit.losses import energy_loss, peak_loss, smooth_l1_loss, weighted_mean
from npuface_toolkit.metrics import face_errors, summarise
from npuface_toolkit.schemes import IBUG_68, WFLW_98


def test_landmark_heatmaps_are_gaussians_with_peak_one() -> None:
    points = torch.tensor([[[3.0, 5.0], [7.25, 2.5]]])
    maps = landmark_heatmaps(points, 12, 1.5)[0].numpy()
    ys, xs = np.mgrid[0:12, 0:12]
    for heatmap, (x, y) in zip(maps, points[0].numpy(), strict=True):
        np.testing.assert_allclose(heatmap, np.exp(-((xs - x) ** 2 + (ys - y) ** 2) / 4.5), atol=1e-6)
    assert maps[0, 5, 3] == 1


def test_boundary_heatmaps_ridge_along_the_curve() -> None:
    points = np.full((98, 2), -50, np.float32)
    points[51:55] = [(10, 10), (10, 20), (10, 30), (10, 40)]
    maps = boundary_heatmaps(points, WFLW_98, 64, 1.5)
    bridge = maps[5]
    assert maps.shape == (15, 64, 64)
    np.testing.assert_allclose(bridge[10:41, 10], 1)
    np.testing.assert_allclose(bridge[25, 12], np.exp(-4 / 4.5), atol=0.05)
    assert bridge[25, 20] == 0
    assert not maps[0].any()


def test_boundaries_of_a_mirrored_face_are_the_mirrored_boundaries() -> None:
    rng = np.random.default_rng(3)
    points = rng.uniform(8, 56, (68, 2)).round().astype(np.float32)
    mirrored = points[list(IBUG_68.flip)].copy()
    mirrored[:, 0] = 63 - mirrored[:, 0]
    maps, theirs = boundary_heatmaps(points, IBUG_68, 64, 1.5), boundary_heatmaps(mirrored, IBUG_68, 64, 1.5)
    curves = [frozenset(curve) for curve in IBUG_68.boundaries]
    for index, curve in enumerate(IBUG_68.boundaries):
        partner = curves.index(frozenset(IBUG_68.flip[i] for i in curve))
        # a rasterised line may differ by one cell where it is drawn from the other end
        assert np.abs(theirs[partner] - maps[index, :, ::-1]).mean() < 0.01


def test_energy_loss_is_one_for_an_empty_prediction_and_zero_for_a_perfect_one() -> None:
    target = landmark_heatmaps(torch.full((2, 3, 2), 16.0), 32, 1.5)
    assert energy_loss(torch.zeros_like(target), target).numpy() == pytest.approx(np.ones((2, 3)), abs=1e-5)
    assert not energy_loss(target, target).any()


def test_peak_loss_asks_for_height_and_not_for_more() -> None:
    target = landmark_heatmaps(torch.tensor([[[5.0, 9.0]]]), 16, 1.5)
    assert peak_loss(target, target).item() == pytest.approx(0, abs=1e-9)
    assert peak_loss(0.5 * target, target).item() == pytest.approx(0.25, abs=1e-5)
    assert peak_loss(2 * target, target).item() == 0
    assert peak_loss(landmark_heatmaps(torch.tensor([[[14.0, 1.0]]]), 16, 1.5), target).item() > 0.9


def test_smooth_l1_is_the_same_for_the_same_relative_error() -> None:
    truth = torch.zeros(1, 4, 2)
    np.testing.assert_allclose(smooth_l1_loss(truth + 1, truth, 32), smooth_l1_loss(truth + 2, truth, 64))


def test_what_is_not_known_does_not_count() -> None:
    """A wrong value of weight 0 changes nothing, and of weight 1/2 counts half as much as the others."""
    values, weights = torch.tensor([[1.0, 100.0], [3.0, 5.0]]), torch.tensor([[1.0, 0.0], [0.5, 0.5]])
    assert weighted_mean(values, weights).item() == pytest.approx((1 + 1.5 + 2.5) / 2)
    assert weighted_mean(values, torch.zeros(2, 2)).item() == 0


def test_nme_is_the_definition() -> None:
    rng = np.random.default_rng(0)
    truth = rng.uniform(0, 100, (5, 68, 2))
    predicted = truth + rng.normal(0, 3, truth.shape)
    for face, error in enumerate(face_errors(predicted, truth, IBUG_68)):
        distances = [np.hypot(*(predicted[face, i] - truth[face, i])) for i in range(68)]
        eyes = np.hypot(*(truth[face, 36] - truth[face, 45]))
        assert error == pytest.approx(sum(distances) / 68 / eyes)
    some = face_errors(predicted, truth, IBUG_68, (0, 5))
    assert some[0] != pytest.approx(face_errors(predicted, truth, IBUG_68)[0])


def test_summary() -> None:
    errors = np.array([0.02, 0.05, 0.20])
    summary = summarise(errors, 68)
    assert (summary.faces, summary.points) == (3, 68)
    assert summary.nme == pytest.approx(0.09)
    assert summary.failure_rate == pytest.approx(1 / 3)
    grid = np.linspace(0, 0.1, 100_001)
    curve = (errors[:, None] <= grid).mean(axis=0)
    assert summary.auc == pytest.approx(np.trapezoid(curve, grid) / 0.1, abs=1e-4)
    with pytest.raises(ValueError, match="no faces"):
        summarise(np.array([]), 68)
