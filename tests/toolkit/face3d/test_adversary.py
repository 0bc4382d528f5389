"""Discriminator, encoders 1 and 2, and the adversarial losses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.discriminator import Discriminator
from npuface_toolkit.face3d.feature_encoder import FeatureEncoder
from npuface_toolkit.face3d.gan_loss import r1_penalty
from npuface_toolkit.face3d.identity_encoder import load_identity_encoder
from npuface_toolkit.face3d.light_cnn import LightCnn
from npuface_toolkit.face3d.mobile_face_net import MobileFaceNet
from npuface_toolkit.face3d.vgg_face import VggFace


@pytest.mark.parametrize("kind", ["vgg16", "resnet"])
def test_a_discriminator_judges_each_picture_by_itself(kind: str) -> None:
    torch.manual_seed(0)
    judge = Discriminator(kind, 32, 4)
    pictures = torch.rand(3, 3, 32, 32)
    logits = judge(pictures)
    assert logits.shape == (3,)
    torch.testing.assert_close(judge(pictures[1:2]), logits[1:2], atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("kind", ["vgg16", "resnet"])
def test_encoder_1_gives_vectors_of_unit_length_and_slopes(kind: str) -> None:
    torch.manual_seed(0)
    features = torch.randn(2, 16, 8, 8, requires_grad=True)
    vectors = FeatureEncoder(kind, 16, 8, 12, 4)(features)
    torch.testing.assert_close(vectors.norm(dim=1), torch.ones(2))
    vectors[0, 0].backward()
    assert features.grad is not None
    assert features.grad[0].abs().sum() > 0
    assert features.grad[1].abs().sum() == 0


def test_vgg16_has_thirteen_convolutions() -> None:
    layers = Discriminator("vgg16", 64, 2).stack.layers
    assert sum(isinstance(layer, torch.nn.Conv2d) for layer in layers) == 13


@pytest.mark.parametrize(
    ("kind", "side", "why"), [("alexnet", 32, "none of vgg16, resnet"), ("resnet", 24, "power of")]
)
def test_what_is_no_network_is_refused(kind: str, side: int, why: str) -> None:
    with pytest.raises(UserError, match=why):
        Discriminator(kind, side, 4)


def test_r1_of_a_linear_judge_is_the_square_of_its_slope() -> None:
    slope = torch.tensor([1.0, 2.0, -2.0])

    def judge(pictures: Tensor) -> Tensor:
        return (pictures * slope).sum(1)

    assert float(r1_penalty(judge, torch.randn(5, 3))) == pytest.approx(9.0)


@pytest.mark.parametrize(
    ("kind", "network", "length"), [("mobilefacenet", MobileFaceNet, 128), ("light-cnn", LightCnn, 256)]
)
def test_encoder_2_is_frozen_and_lets_slopes_through(
    kind: str, network: type[torch.nn.Module], length: int, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    state = {f"module.{key}": value for key, value in network().state_dict().items()}
    torch.save({"state_dict": state}, tmp_path / "a.pth")
    encoder = load_identity_encoder(kind, tmp_path / "a.pth").train()
    assert not encoder.training
    assert not any(parameter.requires_grad for parameter in encoder.parameters())
    picture = torch.rand(1, 3, 64, 64, requires_grad=True)
    vector = encoder(picture)
    assert vector.shape == (1, length)
    vector[0, 0].backward()
    assert picture.grad is not None
    assert picture.grad.abs().sum() > 0


def test_vgg_face_has_the_published_layers() -> None:
    with torch.device("meta"):
        state = VggFace().state_dict()
    assert [key for key in state if key.endswith("weight")][-3:] == ["conv5_3.weight", "fc6.weight", "fc7.weight"]
    assert sum(value.numel() for value in state.values()) == 134_260_544
