"""The adversary of the generator: discriminator, encoders 1 and 2 (modules 608 to 612, steps S502 to S510)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.face3d.config import Face3dTraining
from npuface_toolkit.face3d.discriminator import Discriminator
from npuface_toolkit.face3d.feature_encoder import FeatureEncoder
from npuface_toolkit.face3d.gan_loss import discriminator_loss, generator_loss, r1_penalty
from npuface_toolkit.face3d.identity_crop import SIZE, identity_of, poses_of

R1_EVERY = 16
"""Steps between penalties, each of which counts for all of them (lazy regularisation: Karras et al., 2020)."""


class Adversary(nn.Module):
    """Trained against or beside the generator.

    Args:
        config: of the run.
        identity: the frozen encoder 2; None where the identity term is off.
    """

    def __init__(self, config: Face3dTraining, identity: nn.Module | None) -> None:
        super().__init__()
        shape = config.generator
        self.config = config
        self.discriminator = Discriminator(config.discriminator, shape.size, config.adversary_width)
        self.identity = identity
        self.feature_encoder: FeatureEncoder | None = None
        if identity is not None:
            with torch.no_grad():
                length = identity(torch.zeros(1, 3, *SIZE)).shape[1]
            self.feature_encoder = FeatureEncoder(
                config.feature_encoder, shape.width, shape.rays.grid, length, config.adversary_width
            )

    def trained(self) -> list[nn.Parameter]:
        """Parameters of the discriminator. Encoder 1 is trained with the generator, whose term it shares."""
        return list(self.discriminator.parameters())

    def fooled(self, made: Tensor) -> Tensor:
        """The generator's loss for its pictures [B, 3, n, n]."""
        loss: Tensor = generator_loss(self.discriminator(made))
        return loss

    def identity_term(self, features: Tensor, pictures: Tensor, angles: Tensor) -> Tensor:
        """Mean squared distance of encoder 1 on feature tensors to encoder 2 on pictures (step S508).

        Args:
            features: [B, W, n, n].
            pictures: of the same heads [B, 3, n, n].
            angles: of the pictures' cameras, degrees [B, 3].
        """
        if self.feature_encoder is None or self.identity is None:
            return features.new_zeros(())
        with torch.no_grad():
            wanted = identity_of(self.identity, pictures, poses_of(angles), self.config.generator.rays)
        return functional.mse_loss(self.feature_encoder(features), wanted)

    def loss(self, real: Tensor, made: Tensor, step: int) -> Tensor:
        """The discriminator's loss on real pictures and on the generator's."""
        loss: Tensor = discriminator_loss(self.discriminator(real), self.discriminator(made))
        if self.config.loss.r1 and step % R1_EVERY == 0:
            loss = loss + 0.5 * self.config.loss.r1 * R1_EVERY * r1_penalty(self.discriminator, real)
        return loss
