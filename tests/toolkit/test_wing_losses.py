"""The wing losses against their papers' formulas, written out one element at a time."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from npuface_toolkit.heatmaps import landmark_heatmaps
from npuface_toolkit.losses import HEATMAP_LOSSES, POINT_LOSSES, LossWeights, adaptive_wing_loss, wing_loss


def _adaptive_wing(guess: float, truth: float) -> float:
    omega, theta, epsilon, alpha = 14, 0.5, 1, 2.1
    distance, power = abs(truth - guess), alpha - truth
    if distance < theta:
        return omega * math.log(1 + (distance / epsilon) ** power)
    ratio = theta / epsilon
    a = omega * (1 / (1 + ratio**power)) * power * ratio ** (power - 1) * (1 / epsilon)
    c = theta * a - omega * math.log(1 + ratio**power)
    return a * distance - c


def _near(target: np.ndarray, row: int, column: int) -> bool:
    return bool(target[max(0, row - 1) : row + 2, max(0, column - 1) : column + 2].max() > 0.2)


def test_adaptive_wing_is_the_papers() -> None:
    target = landmark_heatmaps(torch.tensor([[[5.0, 9.0], [0.0, 15.0]]]), 16, 1.5)
    guess = target + torch.randn(target.shape, generator=torch.Generator().manual_seed(0)) * 0.6
    for value, mine, truth in zip(
        adaptive_wing_loss(guess, target)[0], guess[0].numpy(), target[0].numpy(), strict=True
    ):
        cells = [
            _adaptive_wing(mine[at], truth[at]) * (11 if _near(truth, *at) else 1) for at in np.ndindex(truth.shape)
        ]
        assert value.item() == pytest.approx(np.mean(cells), rel=1e-4)


def test_wing_is_the_papers() -> None:
    truth = torch.zeros(1, 4, 2)
    guess = torch.tensor([[[0.1, -0.5], [2.4, 2.6], [-30.0, 0.0], [2.5, -2.5]]])
    width, curvature = 10, 2
    constant = width - width * math.log(1 + width / curvature)

    def wing(distance: float) -> float:
        pixels = 4 * abs(distance)  # 64 cells, 256 pixels
        return width * math.log(1 + pixels / curvature) if pixels < width else pixels - constant

    expected = [np.mean([wing(float(d)) for d in point]) for point in guess[0]]
    np.testing.assert_allclose(wing_loss(guess, truth, 64)[0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", HEATMAP_LOSSES)
def test_a_heatmap_loss_is_nothing_at_the_target_and_has_gradients_everywhere(name: str) -> None:
    target = landmark_heatmaps(torch.tensor([[[5.0, 9.0]]]), 16, 1.5)
    assert HEATMAP_LOSSES[name](target, target).item() == 0
    guess = torch.zeros_like(target).requires_grad_()
    guess.data[0, 0, 0, 0] = 0.5  # at the adaptive wing's theta
    HEATMAP_LOSSES[name](guess, target).sum().backward()
    assert guess.grad is not None
    assert guess.grad.isfinite().all()
    assert guess.grad[0, 0, 9, 5] < 0 < guess.grad[0, 0, 0, 0]


@pytest.mark.parametrize("name", POINT_LOSSES)
def test_a_point_loss_is_nothing_at_the_target_and_grows(name: str) -> None:
    truth = torch.full((1, 1, 2), 7.0)
    values = [POINT_LOSSES[name](truth + step, truth, 64).item() for step in np.linspace(0, 9, 40)]
    assert values[0] == 0
    assert (np.diff(values) > 0).all()
    assert np.diff(values, n=2).max() < 0.5  # without a jump where its pieces meet


@pytest.mark.parametrize("key", ["heatmap_loss", "point_loss"])
def test_an_unknown_loss_is_refused(key: str) -> None:
    with pytest.raises(ValueError, match=f"{key} 'hinge' is none of"):
        LossWeights(**{key: "hinge"})
