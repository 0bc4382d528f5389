"""The adversarial losses against their formulas, and the R1 penalty against slopes known by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from npuface_toolkit.face3d.discriminator import Discriminator
from npuface_toolkit.face3d.gan_loss import discriminator_loss, generator_loss, r1_penalty


def test_losses_are_logarithms_of_probabilities() -> None:
    real, made = torch.randn(2, 16, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    torch.testing.assert_close(generator_loss(made), -made.sigmoid().log().mean())
    expected = -real.sigmoid().log().mean() - (1 - made.sigmoid()).log().mean()
    torch.testing.assert_close(discriminator_loss(real, made), expected)


def test_each_side_pushes_made_logits_its_own_way() -> None:
    real, made = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
    (slope,) = torch.autograd.grad(generator_loss(made), made)
    assert (slope < 0).all()
    of_real, of_made = torch.autograd.grad(discriminator_loss(real, made), (real, made))
    assert (of_real < 0).all()
    assert (of_made > 0).all()


def test_certain_logits_give_finite_losses() -> None:
    sure = torch.full((2,), 1e4)
    assert float(generator_loss(-sure)) == pytest.approx(1e4)
    assert float(discriminator_loss(-sure, sure)) == pytest.approx(2e4)


def test_r1_of_a_quadratic_judge() -> None:
    """The judge a |x|^2 has the slope 2 a x, and so the penalty 4 a^2 |x|^2, averaged over the pictures."""
    pictures = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(1))
    expected = (4 * 1.5**2 * pictures.flatten(1).square().sum(1)).mean()
    torch.testing.assert_close(r1_penalty(lambda x: 1.5 * x.flatten(1).square().sum(1), pictures), expected)


def test_r1_trains_the_judge_and_not_the_pictures() -> None:
    """The penalty of a linear judge with weights w is |w|^2, whose slope is 2 w."""
    weights = torch.tensor([1.0, 2.0, -2.0], requires_grad=True)
    pictures = torch.ones(5, 3, requires_grad=True)

    def judge(given: Tensor) -> Tensor:
        return given @ weights

    r1_penalty(judge, pictures).backward()
    torch.testing.assert_close(weights.grad, 2 * weights.detach())
    assert pictures.grad is None


@pytest.mark.parametrize("kind", ["vgg16", "resnet"])
def test_r1_reaches_the_first_weights_of_a_discriminator(kind: str) -> None:
    torch.manual_seed(0)
    judge = Discriminator(kind, 32, 2)
    r1_penalty(judge, torch.rand(2, 3, 32, 32)).backward()
    first = next(judge.parameters()).grad
    assert first is not None
    assert torch.isfinite(first).all()
    assert first.abs().sum() > 0
