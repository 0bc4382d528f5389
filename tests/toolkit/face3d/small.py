"""Small 3D models and few heads, for tests."""

from __future__ import annotations

import torch
from torch import Tensor

from npuface_toolkit.face3d.config import Face3dTraining
from npuface_toolkit.face3d.face3d_checkpoint import Face3d, new_face3d
from npuface_toolkit.face3d.generator import GeneratorConfig
from npuface_toolkit.face3d.rays import RayConfig

SHAPE = GeneratorConfig(RayConfig(grid=8, samples=6), width=16, shape_codes=4, appearance_codes=40)
TRAINING = Face3dTraining(SHAPE, steps=6, batch=4, precision="fp32", adversary_width=4, held_out=0.3)


def small_model(seed: int = 0) -> Face3d:
    """Random weights, with something solid in the middle."""
    torch.manual_seed(seed)
    model = new_face3d(SHAPE)
    torch.nn.init.constant_(model.generator.field.to_density.bias, 0.3)  # type: ignore[arg-type]
    return Face3d(model.generator.eval(), model.encoder.eval())


def small_codes(seed: int = 0) -> tuple[Tensor, Tensor]:
    """Codes of a head of such a model."""
    torch.manual_seed(seed)
    return torch.randn(1, SHAPE.shape_codes, 1, 1), torch.randn(1, SHAPE.appearance_codes, 1, 1)
