"""Weights that are settled lie on the grid of the quantizer, and their errors make up for each other."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from small import small_model
from torch import Tensor, nn

from npuface_toolkit.face3d.eight_bit_weights import _nearest, settle_weights


def off_grid(layer: nn.Conv2d) -> float:
    """Largest distance to the grid of a symmetric quantizer per channel, in its steps."""
    weight = layer.weight.detach().flatten(1).double()
    steps = weight / (weight.abs().amax(1, keepdim=True).clamp(min=1e-12) / 127)
    return float((steps - steps.round()).abs().max())


@pytest.mark.parametrize("seed", range(3))
def test_settled_weights_lie_on_the_grid(seed: int) -> None:
    generator = small_model(seed).generator
    generator.field.last.weight.data[3] = 0  # a dead channel has no scale
    before = deepcopy(generator.field)
    settle_weights(generator)
    field = generator.field
    layers = ("point", "hidden_first", "point_again", "hidden_second", "to_density", "to_features", "view", "last")
    for name in (*layers, "plate", "plate_last"):
        assert off_grid(getattr(field, name)) < 1e-3, name
        assert bool(getattr(field, name).weight.isfinite().all())
    assert off_grid(before.point) > 0.1
    assert torch.equal(before.shape_first.weight, field.shape_first.weight)


def test_errors_make_up_for_each_other() -> None:
    torch.manual_seed(0)
    inputs = (torch.randn(500, 4) @ torch.randn(4, 20)).double()  # few directions: rounding can hide in the others
    gram = inputs.T @ inputs
    wanted = torch.randn(6, 20, dtype=torch.float64)
    wanted = wanted / wanted.abs().amax(1, keepdim=True) * 127

    def error(found: Tensor) -> float:
        return float((((found - wanted) @ gram) * (found - wanted)).sum())

    found = _nearest(wanted, gram)
    assert error(found) < 0.5 * error(wanted.round())
    assert torch.equal(found, found.round())
    assert float(found.abs().max()) <= 127
