"""Sizes and slopes of the discriminator and encoder 1."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.discriminator import Discriminator
from npuface_toolkit.face3d.feature_encoder import FeatureEncoder

KINDS = ("vgg16", "resnet")
_NORMALISING = (nn.BatchNorm2d, nn.InstanceNorm2d, nn.GroupNorm, nn.LayerNorm)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [32, 64, 128])
def test_pictures_of_any_size_give_one_logit_each(kind: str, size: int) -> None:
    torch.manual_seed(0)
    assert Discriminator(kind, size, 2)(torch.rand(2, 3, size, size)).shape == (2,)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("side", [8, 16, 32])
def test_feature_tensors_of_any_size_give_one_vector_each(kind: str, side: int) -> None:
    torch.manual_seed(0)
    assert FeatureEncoder(kind, 5, side, 7, 2)(torch.randn(2, 5, side, side)).shape == (2, 7)


@pytest.mark.parametrize("kind", KINDS)
def test_every_pixel_and_every_weight_counts(kind: str) -> None:
    torch.manual_seed(0)
    judge = Discriminator(kind, 32, 4)
    pictures = torch.rand(2, 3, 32, 32, requires_grad=True)
    judge(pictures).sum().backward()
    assert pictures.grad is not None
    assert (pictures.grad.abs().sum(1) > 0).all()
    for name, parameter in judge.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize("kind", KINDS)
def test_no_layer_looks_at_the_whole_batch(kind: str) -> None:
    assert not any(isinstance(layer, _NORMALISING) for layer in Discriminator(kind, 32, 2).modules())


def test_encoder_1_of_no_kind_is_refused() -> None:
    with pytest.raises(UserError, match="none of vgg16, resnet"):
        FeatureEncoder("mobilenet", 5, 8, 7)


@pytest.mark.parametrize("kind", KINDS)
def test_fresh_networks_tell_pictures_apart(kind: str) -> None:
    """With PyTorch's own start the logits of VGG-16 differed by 1e-7: there was no slope to learn from."""
    torch.manual_seed(0)
    assert Discriminator(kind, 64, 16)(torch.rand(8, 3, 64, 64)).std() > 1e-3
