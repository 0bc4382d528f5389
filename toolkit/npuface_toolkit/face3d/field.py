"""The generative neural feature field (module 604, steps S402, S710-S714): a fully connected network over samples.

A fully connected layer that every sample shares is a 1x1 convolution over [B, C, S, R], which every NPU has.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.face3d.rays import RayConfig

LEAK = 0.01
"""Slope that gradients see where the density is cut at zero: a plain ReLU that is zero everywhere never comes back
(density death). The density itself is a plain ReLU's, which INT8 holds exactly and every NPU has."""
DENSITY_GAIN = 10.0
"""Density of one unit of the network's output, so that an opaque surface needs no large weights."""
_FIRST_DENSITY = 0.05


class FieldOutput(NamedTuple):
    """Optical depth of each sample [B, 1, S, R], 0 to DEEPEST, and hidden features [B, W, S, R]."""

    optical: Tensor
    features: Tensor


class Field(nn.Module):
    """Density and features of the head at encoded points, and the background plate.

    Args:
        rays: says how many channels the encodings have.
        width: W, channels of the hidden layers.
        shape_codes, appearance_codes: channels of Zs and Za, both [B, Z, 1, 1] and drawn from N(0, I).
    """

    def __init__(self, rays: RayConfig, width: int, shape_codes: int, appearance_codes: int) -> None:
        super().__init__()
        self.delta = rays.delta
        self.point = nn.Conv2d(rays.channels, width, 1)
        self.shape_first = nn.Conv2d(shape_codes, width, 1, bias=False)
        self.hidden_first = nn.Conv2d(width, width, 1)
        self.point_again = nn.Conv2d(rays.channels, width, 1, bias=False)
        self.shape_again = nn.Conv2d(shape_codes, width, 1, bias=False)
        self.hidden_second = nn.Conv2d(width, width, 1)
        self.to_density = nn.Conv2d(width, 1, 1)
        self.to_features = nn.Conv2d(width, width, 1)
        self.appearance = nn.Conv2d(appearance_codes, width, 1, bias=False)
        self.view: nn.Module = nn.Conv2d(rays.direction_channels, width, 1, bias=False)
        self.last = nn.Conv2d(width, width, 1)
        self.to_colour = nn.Conv2d(width, 3, 1)
        self.plate = nn.Conv2d(rays.channels, width, 1)
        self.plate_appearance = nn.Conv2d(appearance_codes, width, 1, bias=False)
        self.plate_last = nn.Conv2d(width, width, 1)
        self.baked_plate: Tensor | None
        self.register_buffer("baked_plate", None, persistent=False)
        nn.init.constant_(self.to_density.bias, _FIRST_DENSITY)  # type: ignore[arg-type]

    @torch.no_grad()
    def bake(self, zs: Tensor, za: Tensor, pe_bg: Tensor) -> None:
        """Fold the codes of one head [1, Z, 1, 1] into biases; from then on the codes are given as None.

        The plate [1, 6L, 1, R], which sees nothing but a code, becomes a constant.
        """
        folded = (
            (self.point, self.shape_first(zs)),
            (self.hidden_first, self.shape_again(zs)),
            (self.to_features, self.appearance(za)),
            (self.plate, self.plate_appearance(za)),
        )
        for layer, constant in folded:
            assert layer.bias is not None
            layer.bias += constant.flatten()
        self.baked_plate = self.background(pe_bg, None)

    def hidden(self, pe_x: Tensor, zs: Tensor | None) -> Tensor:
        """What shape alone decides, [B, W, S, R]."""
        hidden = functional.relu(_plus(self.point(pe_x), self.shape_first, zs))
        hidden = functional.relu(_plus(self.hidden_first(hidden) + self.point_again(pe_x), self.shape_again, zs))
        return functional.relu(self.hidden_second(hidden))

    def density(self, pe_x: Tensor, zs: Tensor) -> Tensor:
        """Density alone [B, 1, S, R], for the mesh: it depends on neither appearance nor view."""
        return self._leaking(self.to_density(self.hidden(pe_x, zs)), functional.relu) * DENSITY_GAIN

    @property
    def optical_factor(self) -> float:
        """Optical depth of a sample for one unit of the density layer's output."""
        return DENSITY_GAIN * self.delta

    def _optical(self, hidden: Tensor) -> Tensor:
        """Density times the length that a sample stands for; both factors are folded into the convolution."""
        factor, layer = self.optical_factor, self.to_density
        assert layer.bias is not None
        return self._leaking(functional.conv2d(hidden, layer.weight * factor, layer.bias * factor), functional.relu6)

    def _leaking(self, raw: Tensor, cut: Callable[[Tensor], Tensor]) -> Tensor:
        made = cut(raw)
        if self.training:
            below = raw.clamp(max=0)
            made = made + LEAK * (below - below.detach())
        return made

    def forward(self, pe_x: Tensor, pe_d: Tensor, zs: Tensor | None, za: Tensor | None) -> FieldOutput:
        """Optical depth and features. The view term pe_d [B, 6Ld, 1, R] is computed once a ray, for all its samples."""
        hidden = self.hidden(pe_x, zs)
        features = functional.relu(_plus(self.to_features(hidden) + self.view(pe_d), self.appearance, za))
        return FieldOutput(self._optical(hidden), functional.relu(self.last(features)))

    def colour(self, features: Tensor) -> Tensor:
        """RGB in 0..1 of each sample [B, 3, S, R]: an auxiliary head that gives a mesh's vertices their colour."""
        return torch.sigmoid(self.to_colour(features))

    def background(self, pe_bg: Tensor, za: Tensor | None) -> Tensor:
        """Features of the plate behind the head [B, W, 1, R]."""
        if self.baked_plate is not None:
            return self.baked_plate
        return functional.relu(self.plate_last(functional.relu(_plus(self.plate(pe_bg), self.plate_appearance, za))))


def _plus(maps: Tensor, layer: nn.Conv2d, code: Tensor | None) -> Tensor:
    """Maps, and what a code adds to them; nothing where it is baked in."""
    return maps if code is None else maps + layer(code)
