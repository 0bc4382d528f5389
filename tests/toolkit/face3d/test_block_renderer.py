"""Blocks of pixels are the picture that the neural renderer draws."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from npuface_runtime.face_renderer import pixels
from npuface_toolkit.face3d.block_renderer import BlockRenderer
from npuface_toolkit.face3d.neural_renderer import NeuralRenderer


@pytest.mark.parametrize(("width", "height", "across"), [(16, 4, 4), (64, 3, 7)])
def test_the_picture_is_the_same(width: int, height: int, across: int) -> None:
    torch.manual_seed(0)
    plain = NeuralRenderer(width).eval()
    for layer in (plain.smooth, plain.last):  # the first starts as a blur, both must be seen at the edges
        torch.nn.init.normal_(layer.weight, std=0.3)
        assert layer.bias is not None
        torch.nn.init.normal_(layer.bias, std=0.3)
    features = torch.randn(1, width, height, across)
    with torch.no_grad():
        wanted = plain(features)[0].permute(1, 2, 0).numpy()
        blocks = BlockRenderer(plain)(features)
    assert blocks.shape == (1, 48, height, across)
    np.testing.assert_allclose(pixels(blocks.permute(0, 2, 3, 1).numpy()), wanted, atol=2e-6)


def test_blocks_in_another_order_are_another_picture() -> None:
    torch.manual_seed(0)
    plain = NeuralRenderer(16).eval()
    features = torch.randn(1, 16, 4, 4)
    with torch.no_grad():
        wanted = plain(features)[0].permute(1, 2, 0).numpy()
        turned = BlockRenderer(plain)(features).permute(0, 2, 3, 1).numpy()[..., ::-1]
    assert np.abs(pixels(turned) - wanted).max() > 1e-2
