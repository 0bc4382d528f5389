"""Rays, compositing, generator and checkpoint."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.compositing import Compositing, composite_reference
from npuface_toolkit.face3d.face3d_checkpoint import FORMAT, load_face3d, new_face3d, save_face3d
from npuface_toolkit.face3d.generator import Generator, GeneratorConfig
from npuface_toolkit.face3d.pose import Pose, camera_to_world
from npuface_toolkit.face3d.rays import RayConfig, cast, encode, ray_inputs

SMALL = GeneratorConfig(RayConfig(grid=4, samples=6), width=16, shape_codes=3, appearance_codes=5)


def test_the_camera_moves_where_the_angles_say() -> None:
    centres = camera_to_world([Pose(), Pose(yaw=90), Pose(pitch=90), Pose(roll=90)])[:, :, 2]
    expected = torch.tensor([[0.0, 0, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]])
    torch.testing.assert_close(centres, expected, atol=1e-6, rtol=0)


def test_rays_run_row_by_row_from_the_top_left_and_cross_the_box() -> None:
    points, rays = cast(camera_to_world([Pose()]), RayConfig(grid=4, samples=8))
    assert rays[0, 0, 0] < 0 < rays[0, 1, 0]
    assert rays[0, 0, 3] > 0 > rays[0, 1, 12]
    assert points[0, 2, 0].min() > points[0, 2, -1].max()  # nearest first
    torch.testing.assert_close(rays.norm(dim=1), torch.ones(1, 16))


def test_the_mask_is_one_inside_the_box_only() -> None:
    config, rotation = RayConfig(), camera_to_world([Pose(yaw=45, pitch=20)])
    inside = cast(rotation, config)[0].abs().amax(1) <= 1
    mask = ray_inputs(rotation, config).mask
    assert torch.equal(mask[:, 0] > 0, inside)
    assert 0 < mask.mean() < 1


def test_encoding_of_a_known_point() -> None:
    code = encode(torch.tensor([1.0, 0.0, -1.0]).reshape(1, 3, 1), 2).flatten()
    torch.testing.assert_close(code, torch.tensor([1.0, 0, -1, 0, 1, 0, 0, 0, 0, -1, 1, -1]), atol=1e-6, rtol=0)


def test_compositing_without_cumprod_equals_the_textbook() -> None:
    torch.manual_seed(0)
    density, features = torch.rand(2, 1, 12, 9) * 4, torch.randn(2, 5, 12, 9)
    form = Compositing(12)
    transmittance = form.transmittance(density * 0.125)
    total = form.total(form.weights(transmittance), features)
    expected, left = composite_reference(density, features, 0.125)
    torch.testing.assert_close(total, expected, atol=2e-6, rtol=1e-5)
    torch.testing.assert_close(transmittance[:, :, -1:], left, atol=2e-6, rtol=1e-5)


def test_compositing_in_the_wrong_order_is_noticed() -> None:
    density, features = torch.rand(1, 1, 8, 3) * 20, torch.randn(1, 2, 8, 3)
    expected, _ = composite_reference(density, features, 0.25)
    wrong, _ = composite_reference(density.flip(2), features, 0.25)
    assert (expected - wrong).abs().max() > 1e-2


def test_the_exported_picture_is_the_one_that_was_trained() -> None:
    generator = Generator(SMALL).eval()
    rays = ray_inputs(camera_to_world([Pose(30, 10, 5), Pose()]), SMALL.rays)
    zs, za = torch.randn(2, 3, 1, 1), torch.randn(2, 5, 1, 1)
    rendering = generator.render(rays, zs, za)
    torch.testing.assert_close(generator(*rays, zs, za), rendering.rgb)
    assert rendering.rgb.shape == (2, 3, 16, 16)
    assert rendering.depth.shape == rendering.opacity.shape == (2, 1, 4, 4)
    assert rendering.opacity.min() > 0


def test_a_checkpoint_gives_the_same_pictures_back(tmp_path: Path) -> None:
    model = new_face3d(SMALL)
    save_face3d(tmp_path / "m.safetensors", model)
    read = load_face3d(str(tmp_path / "m.safetensors"))
    assert read.generator.config == SMALL
    for key, weight in model.generator.state_dict().items():
        assert torch.equal(weight, read.generator.state_dict()[key])
    assert list(tmp_path.iterdir()) == [tmp_path / "m.safetensors"]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        ({}, "not npuface-face3d-1"),
        ({"format": FORMAT, "about": json.dumps({"config": {"depth": 3}})}, "disagree"),
        ({"format": FORMAT, "about": json.dumps({"config": {"width": 32}})}, "disagree"),
        ({"format": FORMAT, "about": "{"}, "disagree"),
    ],
)
def test_a_checkpoint_of_another_layout_is_refused(tmp_path: Path, metadata: dict[str, str], reason: str) -> None:
    path = tmp_path / "m.safetensors"
    save_file({"generator.x": torch.zeros(1)}, path, metadata)
    with pytest.raises(UserError, match=reason):
        load_face3d(str(path))


def test_a_missing_or_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        load_face3d("face3d-nobody")
    (tmp_path / "m.safetensors").write_bytes(b"junk")
    with pytest.raises(UserError, match="no safetensors"):
        load_face3d(str(tmp_path / "m.safetensors"))
