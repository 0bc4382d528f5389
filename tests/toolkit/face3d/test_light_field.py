"""Light fields: what they learn, and that what is exported gives the same."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from small import SHAPE, small_codes, small_model

from npuface_export.renderer import RendererNetwork, export_renderer
from npuface_export.target import target_by_name
from npuface_runtime.face_renderer import FaceRenderer
from npuface_runtime.ray_encoding import network_input, wrong_renderer
from npuface_toolkit.face3d.light_field import LightFieldConfig, distil, light_field_input, packed_light_field
from npuface_toolkit.face3d.pose import Pose, camera_to_world

GENERATOR = small_model().generator


def test_a_light_field_learns_its_teacher(tmp_path: Path) -> None:
    codes = small_codes()
    config = LightFieldConfig(replace(SHAPE.rays, samples=4), 24, 1, 12, steps=150, batch=8)
    field, found = distil(GENERATOR, codes, config)
    _, before = distil(GENERATOR, codes, replace(config, steps=1))
    assert found["psnr_db"] > before["psnr_db"] + 5
    assert field.config.picture_width == GENERATOR.config.width
    network = RendererNetwork("light", packed_light_field(field), field.record())
    assert wrong_renderer(network.record) is None
    export_renderer(network, target_by_name("onnxruntime-cpu"), tmp_path / "b")
    entered = light_field_input(camera_to_world([Pose(20, 5)]), config.rays)
    np.testing.assert_allclose(network_input(network.record, (20, 5, 0)), entered.numpy(), atol=2e-5)
    with FaceRenderer(tmp_path / "b") as renderer, torch.no_grad():
        wanted = field(entered)[0].permute(1, 2, 0).numpy()
        assert np.abs(renderer.render(20, 5) / 255 - wanted).max() <= 0.5 / 255 + 1e-4
