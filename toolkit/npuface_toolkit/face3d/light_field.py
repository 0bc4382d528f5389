"""A light-field student: whole rays in, a picture out, without marching along them (MobileR2L, Cao et al., CVPR 2023).

It learns one head from the generator that renders it, and costs a fraction of it. Its neural renderer starts as the
teacher's: what is left to learn is what the field gives for a ray.
"""

from __future__ import annotations

import logging
import time
from copy import deepcopy
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional

from npuface_runtime.ray_encoding import RendererRecord, wrong_renderer
from npuface_toolkit.face3d.block_renderer import BlockRenderer
from npuface_toolkit.face3d.codes_file import Codes
from npuface_toolkit.face3d.generator import Generator
from npuface_toolkit.face3d.initial import keep_variance
from npuface_toolkit.face3d.neural_renderer import SCALE, NeuralRenderer
from npuface_toolkit.face3d.packed import MAX_PITCH, MAX_YAW, drawn_angles
from npuface_toolkit.face3d.pose import rotations
from npuface_toolkit.face3d.rays import RayConfig, cast, encode, ray_inputs
from npuface_toolkit.schedule import cosine

_log = logging.getLogger("npuface.train")
_WIDEST, _DEEPEST = 1024, 64
_BEYOND = 1.05


@dataclass(frozen=True)
class LightFieldConfig:
    """Shape and distillation of a light field.

    Attributes:
        rays: the teacher's camera; `samples` are the points of a ray that enter.
        width, blocks: channels, and residual blocks of two 3x3 convolutions over the grid of rays.
        picture_width: channels that its neural renderer takes; `distil` makes it the teacher's.
        poses: how many the teacher renders, drawn evenly a little beyond the limits of exported renderers, so that
            those at a limit have neighbours on both sides.
        steps, batch, rate: of Adam, on those pictures.
        seed: of weights and poses.
    """

    rays: RayConfig
    width: int = 48
    blocks: int = 2
    picture_width: int = 64
    poses: int = 2400
    steps: int = 10000
    batch: int = 4
    rate: float = 4e-3
    seed: int = 0

    def record(self) -> RendererRecord:
        """What a manifest says of such a light field."""
        rays = self.rays
        return RendererRecord(
            "light-field",
            rays.grid,
            rays.samples,
            SCALE * rays.grid,
            rays.distance,
            rays.tan_half,
            rays.point_frequencies,
            rays.direction_frequencies,
            MAX_YAW,
            MAX_PITCH,
            max_roll=0.0,  # it is taught upright poses: at 30 degrees of roll it was 9 dB worse
        )

    def check(self) -> None:
        """Refuse what could not be built, before anything is allocated.

        Raises:
            ValueError: a number is out of range.
        """
        why = wrong_renderer(self.record())
        if why:
            raise ValueError(why)
        if not (1 <= self.width <= _WIDEST and 4 <= self.picture_width <= _WIDEST and 0 <= self.blocks <= _DEEPEST):
            raise ValueError(f"its widths are {self.width} and {self.picture_width}, with {self.blocks} blocks")


class LightField(nn.Module):
    """Encoded points of rays [B, 6L S, n, n] -> RGB in 0..1 [B, 3, 4n, 4n].

    Unlike in the paper a ray sees its neighbours: two 3x3 convolutions of 64 channels came as near to the teacher as
    four of 1x1 and 128 channels, at the same number of products, from fewer points.
    """

    def __init__(self, config: LightFieldConfig) -> None:
        super().__init__()
        self.config = config
        self.first = nn.Conv2d(config.rays.channels * config.rays.samples, config.width, 1)
        self.inner = nn.ModuleList(
            nn.Conv2d(config.width, config.width, 3, padding=1) for _ in range(2 * config.blocks)
        )
        self.project = nn.Conv2d(config.width, config.picture_width, 1)
        self.renderer: nn.Module = NeuralRenderer(config.picture_width)
        for layer in (self.first, *self.inner, self.project):
            keep_variance(layer)

    def forward(self, rays: Tensor) -> Tensor:
        """The picture."""
        hidden = functional.relu(self.first(rays))
        for block in range(self.config.blocks):
            one, other = self.inner[2 * block], self.inner[2 * block + 1]
            hidden = functional.relu(hidden + other(functional.relu(one(hidden))))
        picture: Tensor = self.renderer(self.project(hidden))
        return picture

    def record(self) -> RendererRecord:
        """What the manifest says of it."""
        return self.config.record()


def packed_light_field(field: LightField) -> LightField:
    """A copy as it is exported, which gives blocks of pixels."""
    packed = deepcopy(field)
    packed.renderer = BlockRenderer(field.renderer)
    return packed


def light_field_input(rotation: Tensor, rays: RayConfig) -> Tensor:
    """What enters, of cameras with rotations [B, 3, 3]: points of a ray one after another in the channels."""
    encoded = encode(cast(rotation, rays)[0], rays.point_frequencies)
    return encoded.transpose(1, 2).reshape(len(rotation), -1, rays.grid, rays.grid)


def distil(generator: Generator, codes: Codes, config: LightFieldConfig) -> tuple[LightField, dict[str, float]]:
    """Teach a light field one head.

    Returns:
        The light field, and what it came to: PSNR to the teacher on poses that it was not taught, dB, and seconds.
    """
    torch.manual_seed(config.seed)
    student = LightField(replace(config, picture_width=generator.config.width))
    student.renderer.load_state_dict(generator.renderer.state_dict())
    optimizer = torch.optim.Adam(student.parameters(), config.rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, config.steps, 0.02))
    random = torch.Generator().manual_seed(config.seed)
    began = time.monotonic()
    rotation = rotations(_BEYOND * drawn_angles(config.poses, random))
    taught = torch.cat([_taught(generator, codes, part) for part in rotation.split(config.batch)])
    _log.info("the teacher rendered %d poses", len(taught))
    for step in range(config.steps):
        chosen = torch.randint(len(taught), (config.batch,), generator=random)
        loss = functional.mse_loss(student(light_field_input(rotation[chosen], config.rays)), taught[chosen])
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        schedule.step()
        if (step + 1) % 200 == 0:
            left = (config.steps - step - 1) * (time.monotonic() - began) / (step + 1) / 60
            _log.info("step %d/%d: %.1f dB, %.0f min left", step + 1, config.steps, _db(loss.detach()), left)
    student.eval()
    unseen = rotations(drawn_angles(64, torch.Generator().manual_seed(config.seed + 1)))
    with torch.no_grad():
        made = student(light_field_input(unseen, config.rays))
        db = _db(functional.mse_loss(made, _taught(generator, codes, unseen)))
    return student, {"psnr_db": round(db, 2), "poses": 64, "seconds": round(time.monotonic() - began, 1)}


@torch.no_grad()
def _taught(generator: Generator, codes: Codes, rotation: Tensor) -> Tensor:
    zs, za = (code.expand(len(rotation), -1, -1, -1) for code in codes)
    picture: Tensor = generator(*ray_inputs(rotation, generator.config.rays), zs, za)
    return picture


def _db(error: Tensor) -> float:
    return -10 * float(torch.log10(error.clamp(min=1e-10)))
