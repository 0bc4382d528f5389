"""The adversarial losses (patent, loss 1): non-saturating (Goodfellow et al., 2014), and the R1 penalty."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def generator_loss(made: Tensor) -> Tensor:
    """-log sigmoid of the logits [B] of made pictures."""
    return functional.softplus(-made).mean()


def discriminator_loss(real: Tensor, made: Tensor) -> Tensor:
    """-log sigmoid of the logits of real pictures, and -log (1 - sigmoid) of those of made ones."""
    return functional.softplus(-real).mean() + functional.softplus(made).mean()


def r1_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """Mean squared norm of the discriminator's slope at real pictures (Mescheder et al., ICML 2018, equation 9).

    Args:
        discriminator: pictures [B, ...] -> logits [B], each of its picture alone.
        real: pictures.
    """
    pictures = real.detach().requires_grad_()
    (slope,) = torch.autograd.grad(discriminator(pictures).sum(), pictures, create_graph=True)
    return slope.flatten(1).square().sum(1).mean()
