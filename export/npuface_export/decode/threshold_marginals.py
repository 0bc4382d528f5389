"""threshold-marginals: relu(h - t), separable sums, 16-bit moments, division on the host.

The cheapest form: compilers fuse the shift and the relu into the network's last convolution, and what is left
are two passes over the map. It has no maximum to adapt to, so it needs a network that was trained with it
in place, whose peaks stand above t on every picture.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_export.decode.form import DecodeForm, HeatmapSpec, Need, expected_cell
from npuface_export.decode.needs import marginals_needs, moments_needs
from npuface_export.decode.relative_threshold import threshold_mass
from npuface_export.decode.sums import MomentsOf, grid_params, whole_grid

_SHARPNESS = 12.0
"""Over t: of the softplus that stands for the relu in training. A map that lies below t as a whole still has a
gradient, and a background at zero weighs exp(-12) of its softness."""


class StaticSquash(nn.Module):
    """Squash: relu(h - t)."""

    def __init__(self, spec: HeatmapSpec) -> None:
        super().__init__()
        self.threshold = spec.threshold

    def forward(self, heatmaps: Tensor) -> tuple[Tensor]:
        """[N, K, H, W] -> [N, K, H, W]."""
        return (torch.relu(heatmaps - self.threshold),)


def static_threshold_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """Heatmaps [N, K, H, W] -> points [N, K, 2] in cells: the centre of mass of relu(h - t)."""
    return expected_cell(torch.relu(heatmaps - spec.threshold))


def softened_points(heatmaps: Tensor, spec: HeatmapSpec) -> Tensor:
    """The same with a softplus for the relu, for training."""
    return expected_cell(functional.softplus(heatmaps - spec.threshold, beta=_SHARPNESS / spec.threshold))


FORM = DecodeForm(
    name="threshold-marginals",
    summary="relu(h - t), separable sums, 16-bit moments, divided on the host",
    needs=lambda spec: (
        Need("Sub"),  # in the bias of the network's last convolution, and the relu in its activation: no work
        Need("Relu"),
        *marginals_needs(spec),
        *moments_needs(spec),
    ),
    points=static_threshold_points,
    training_points=softened_points,
    build=lambda spec: MomentsOf(StaticSquash(spec), spec),
    finish="moments",
    finish_params=lambda spec: {**grid_params(spec.height, spec.width), "ideal_mass": threshold_mass(spec)},
    grid=whole_grid,
)
