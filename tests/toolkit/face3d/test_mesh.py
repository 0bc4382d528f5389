"""Meshes of densities whose surface is known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.generator import Generator, GeneratorConfig
from npuface_toolkit.face3d.mesh import density_grid, head_mesh, mesh_of_density, write_mesh
from npuface_toolkit.face3d.rays import RayConfig


def ball(points: Tensor, centre: tuple[float, float, float] = (0, 0, 0), radius: float = 0.5) -> Tensor:
    """Density 1 at the radius, more inside."""
    return 1 + 10 * (radius - (points - torch.tensor(centre)).norm(dim=1))


def test_a_ball_becomes_one_closed_surface_of_its_size() -> None:
    mesh, statistics = mesh_of_density(density_grid(ball, 40), 1.0)
    assert statistics.components == 1
    assert statistics.watertight
    np.testing.assert_allclose(statistics.extents, 1.0, atol=0.02)
    assert mesh.volume == pytest.approx(4 / 3 * np.pi * 0.5**3, rel=0.03)  # positive: the faces look outwards


def test_axes_are_x_y_z() -> None:
    mesh, _ = mesh_of_density(density_grid(lambda p: ball(p, (0.4, -0.2, 0.1), 0.3), 40), 1.0)
    np.testing.assert_allclose(mesh.center_mass, (0.4, -0.2, 0.1), atol=0.01)


def test_the_larger_of_two_blobs_is_kept() -> None:
    grid = density_grid(lambda p: torch.maximum(ball(p, (0.5, 0, 0), 0.2), ball(p, (-0.4, 0, 0), 0.4)), 40)
    mesh, statistics = mesh_of_density(grid, 1.0)
    assert statistics.components == 2
    assert mesh.bounds[1, 0] < 0.05


def test_what_touches_the_walls_of_the_box_is_closed() -> None:
    _, statistics = mesh_of_density(density_grid(lambda p: ball(p, radius=1.3), 24), 1.0)
    assert statistics.watertight


def test_an_open_surface_would_be_noticed() -> None:
    mesh, _ = mesh_of_density(density_grid(ball, 24), 1.0)
    assert not trimesh.Trimesh(mesh.vertices, mesh.faces[1:]).is_watertight


@pytest.mark.parametrize(("value", "reason"), [(0.0, "the head is empty"), (float("nan"), "not finite")])
def test_no_density_no_mesh(value: float, reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        mesh_of_density(np.full((8, 8, 8), value, np.float32), 1.0)


@pytest.mark.parametrize("resolution", [7, 257, 100_000])
def test_a_grid_of_another_size_is_refused_before_it_is_made(resolution: int) -> None:
    with pytest.raises(UserError, match="not from 8 to 256"):
        density_grid(ball, resolution)


def test_the_mesh_of_a_generator_has_its_colours() -> None:
    torch.manual_seed(0)
    generator = Generator(GeneratorConfig(RayConfig(grid=4, samples=6), 16, 3, 5)).eval()
    torch.nn.init.constant_(generator.field.to_density.bias, 5.0)  # a solid box
    torch.nn.init.zeros_(generator.field.to_colour.weight)
    generator.field.to_colour.bias.data = torch.tensor([2.0, 0.0, -2.0])
    mesh, statistics = head_mesh(generator, torch.zeros(1, 3, 1, 1), torch.zeros(1, 5, 1, 1), 16)
    assert statistics.watertight
    expected = torch.sigmoid(torch.tensor([2.0, 0.0, -2.0])) * 255
    np.testing.assert_allclose(np.asarray(mesh.visual.vertex_colors)[:, :3].mean(0), expected, atol=1)


@pytest.mark.parametrize("name", ["head.glb", "head.obj", "head.ply", "HEAD.PLY"])
def test_written_meshes_read_back(tmp_path: Path, name: str) -> None:
    mesh, _ = mesh_of_density(density_grid(ball, 16), 1.0)
    mesh.visual.vertex_colors = np.full((len(mesh.vertices), 3), (250, 100, 50), np.uint8)
    write_mesh(tmp_path / name, mesh)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    read = trimesh.load_mesh(tmp_path / name)
    assert len(read.faces) == len(mesh.faces)
    np.testing.assert_allclose(read.bounds, mesh.bounds, atol=1e-4)
    assert tuple(np.asarray(read.visual.vertex_colors)[0, :3]) == (250, 100, 50)


@pytest.mark.parametrize(("name", "reason"), [("head.stl2", "not a mesh format"), ("gone/head.glb", "no folder")])
def test_paths_that_cannot_be_written_are_refused(tmp_path: Path, name: str, reason: str) -> None:
    mesh, _ = mesh_of_density(density_grid(ball, 16), 1.0)
    with pytest.raises(UserError, match=reason):
        write_mesh(tmp_path / name, mesh)
    assert list(tmp_path.iterdir()) == []
