"""The generator: encodings and codes -> a picture, with depth and opacity beside it for training (step S204)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from torch import Tensor, nn

from npuface_runtime.plain import build
from npuface_runtime.ray_encoding import RendererRecord, wrong_renderer
from npuface_toolkit.face3d.compositing import Compositing
from npuface_toolkit.face3d.field import Field
from npuface_toolkit.face3d.initial import keep_variance
from npuface_toolkit.face3d.neural_renderer import SCALE, NeuralRenderer
from npuface_toolkit.face3d.rays import RayConfig, RayInputs

_WIDEST = 1024
_MAX_ACTIVATIONS = 1 << 26
"""Numbers in one layer of the field for one picture: 268 MB."""


@dataclass(frozen=True)
class GeneratorConfig:
    """Shape of the generator.

    Attributes:
        rays: the camera and its sampling.
        width: W, channels of the field.
        shape_codes, appearance_codes: channels of Zs and Za.
    """

    rays: RayConfig = field(default_factory=RayConfig)
    width: int = 64
    shape_codes: int = 16
    appearance_codes: int = 16

    @property
    def size(self) -> int:
        """Side of the picture in pixels."""
        return SCALE * self.rays.grid

    def as_dict(self) -> dict[str, Any]:
        """Plain data, for a checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_dict(cls, plain: dict[str, Any]) -> GeneratorConfig:
        """The configuration of plain data.

        Raises:
            ValueError: a key is not known, a value is of another type, or see `check`.
        """
        config: GeneratorConfig = build(cls, plain, "generator")
        config.check()
        return config

    def check(self) -> None:
        """Refuse what no renderer can be made of, or what would not fit into memory, before anything is allocated.

        Raises:
            ValueError: a number is out of range.
        """
        rays, codes = self.rays, (self.shape_codes, self.appearance_codes)
        camera = (rays.distance, rays.tan_half, rays.point_frequencies, rays.direction_frequencies)
        why = wrong_renderer(
            RendererRecord("field", rays.grid, rays.samples, self.size, *camera, 0.0, 0.0, 0.0, *codes)
        )
        if why:
            raise ValueError(why)
        if not 4 <= self.width <= _WIDEST or min(codes) < 1:
            raise ValueError(f"the width is {self.width} with codes of {codes}, not 4 to {_WIDEST} with some")
        if self.width * rays.samples * rays.grid**2 > _MAX_ACTIVATIONS:
            raise ValueError(f"{rays.grid} x {rays.grid} rays of {rays.samples} samples do not fit into memory")


class Rendering(NamedTuple):
    """What the generator makes of one pose and one pair of codes. n: rays a side, R = n^2.

    Attributes:
        rgb: the picture [B, 3, 4n, 4n], 0..1.
        colour: composited colour of the auxiliary head over opacity 1, without background [B, 3, n, n].
        depth: mean distance along the ray, weighted and not divided by the opacity [B, 1, n, n].
        opacity: [B, 1, n, n], 0..1.
        transmittance: before each sample and behind the last [B, 1, S + 1, R].
        features: the feature tensor that the renderer and encoder 1 get [B, W, n, n].
    """

    rgb: Tensor
    colour: Tensor
    depth: Tensor
    opacity: Tensor
    transmittance: Tensor
    features: Tensor


class Generator(nn.Module):
    """The feature field, compositing and the neural renderer in one.

    Args:
        config: its shape.
    """

    depths: Tensor

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        rays = config.rays
        self.config = config
        self.field = Field(rays, config.width, config.shape_codes, config.appearance_codes)
        self.compositing = Compositing(rays.samples)
        self.project = nn.Conv2d(config.width, config.width, 1)
        self.renderer: nn.Module = NeuralRenderer(config.width)
        self.register_buffer("depths", rays.depths().reshape(1, 1, -1, 1), persistent=False)

    def initialise(self) -> None:
        """Draw weights that keep the signal's size, but for those that end in a density, a colour or a picture."""
        field, last = self.field, self.renderer
        ends = {field.to_density, field.to_colour, last.coarse, last.smooth, last.last}
        for layer in self.modules():
            if layer not in ends:
                keep_variance(layer)

    def forward(
        self, pe_x: Tensor, pe_d: Tensor, pe_bg: Tensor, mask: Tensor, zs: Tensor | None, za: Tensor | None
    ) -> Tensor:
        """The picture alone [B, 3, 4n, 4n]: what is exported.

        Shapes are those of RayInputs and Field; codes are None where they are baked in (see Field.bake). pe_d may also
        be given for every sample.
        """
        optical, features = self.field(pe_x, pe_d, zs, za)
        transmittance = self.compositing.transmittance(optical * mask)
        weights = self.compositing.weights(transmittance)
        picture: Tensor = self.renderer(self._feature_map(weights, transmittance, features, pe_bg, za))
        return picture

    def render(self, rays: RayInputs, zs: Tensor, za: Tensor) -> Rendering:
        """The picture and what training and evaluation look at beside it."""
        optical, features = self.field(rays.pe_x, rays.pe_d, zs, za)
        transmittance = self.compositing.transmittance(optical * rays.mask)
        weights = self.compositing.weights(transmittance)
        tensor = self._feature_map(weights, transmittance, features, rays.pe_bg, za)
        return Rendering(
            self.renderer(tensor),
            self._grid((weights * self.field.colour(features)).sum(2)),
            self._grid((weights * self.depths).sum(2)),
            self._grid(1 - transmittance[:, :, -1]),
            transmittance,
            tensor,
        )

    def _feature_map(
        self, weights: Tensor, transmittance: Tensor, features: Tensor, pe_bg: Tensor, za: Tensor | None
    ) -> Tensor:
        """Late projection: composite hidden features, then project once a ray; the plate shows through what is left."""
        samples = self.config.rays.samples
        head = self.project(self.compositing.total(weights, features))
        return self._grid(head + transmittance[:, :, samples:] * self.field.background(pe_bg, za))

    def _grid(self, rays: Tensor) -> Tensor:
        grid = self.config.rays.grid
        return rays.reshape(rays.shape[0], rays.shape[1], grid, grid)
