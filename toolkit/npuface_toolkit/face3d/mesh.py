"""Density -> mesh: the three-dimensional face structure that a reconstruction ends in (claim 12).

Density is sampled on a grid over the head's box, a shell of zeros closes what touches its walls, marching cubes
(Lorensen and Cline, 1987) finds the surface, and its largest component is kept.
"""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.measure import marching_cubes
from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.generator import Generator
from npuface_toolkit.face3d.rays import encode

if TYPE_CHECKING:
    import trimesh

ENDINGS = (".glb", ".obj", ".ply")
MAX_RESOLUTION = 256
"""Samples a side: 256^3 densities are 67 MB, a finer grid than any field here has detail for."""
_CHUNK = 1 << 16
"""Points a pass of the field: 16 MB of activations a layer at 64 channels."""

Density = Callable[[Tensor], Tensor]
"""Points [N, 3] in the head's box -> density [N], per unit length."""


@dataclass(frozen=True)
class MeshStatistics:
    """What a mesh is like.

    Attributes:
        vertices, faces: how many.
        extents: its size along x, y and z in half sides of the head's box.
        components: pieces that the surface had before the largest was kept.
        watertight: whether every edge belongs to exactly two faces.
    """

    vertices: int
    faces: int
    extents: tuple[float, float, float]
    components: int
    watertight: bool

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return dataclasses.asdict(self) | {"extents": [round(extent, 4) for extent in self.extents]}


def surface_level(delta: float) -> float:
    """The density at which one sample of length delta takes half of the light: exp(-delta density) = 1/2."""
    return math.log(2) / delta


def check_resolution(resolution: int) -> None:
    """Refuse a grid that no head is seen on, or that does not fit into memory. Raises UserError."""
    if not 8 <= resolution <= MAX_RESOLUTION:
        raise UserError(
            f"cannot sample {resolution} points a side",
            f"it is not from 8 to {MAX_RESOLUTION}",
            "leave the resolution out, or give a number in that range",
        )


@torch.no_grad()
def density_grid(density: Density, resolution: int) -> NDArray[np.float32]:
    """Density on a grid over [-1, 1]^3 [resolution, resolution, resolution], axes x, y, z; computed in pieces.

    Raises:
        UserError: the resolution is below 8 or above MAX_RESOLUTION.
    """
    check_resolution(resolution)
    line = torch.linspace(-1, 1, resolution)
    points = torch.stack(torch.meshgrid(line, line, line, indexing="ij"), -1).reshape(-1, 3)
    values = torch.cat([density(part) for part in points.split(_CHUNK)])
    return np.asarray(values.reshape(resolution, resolution, resolution).numpy(), np.float32)


def mesh_of_density(grid: NDArray[np.float32], level: float) -> tuple[trimesh.Trimesh, MeshStatistics]:
    """The largest closed surface around what is denser than `level`, in coordinates of the head's box.

    Args:
        grid: density [N, N, N] over [-1, 1]^3, axes x, y, z.
        level: density at the surface.

    Raises:
        UserError: nothing is that dense, or the density is not finite.
    """
    import trimesh

    if not np.isfinite(grid).all():
        raise UserError("cannot make a mesh", "the density is not finite", "train the model again, with a lower rate")
    if grid.max() <= level:
        raise UserError(
            "cannot make a mesh",
            f"the head is empty: its density is at most {grid.max():.2f}, and a surface is at {level:.2f}",
            "give a trained model, or a clearer picture",
        )
    spacing = 2 / (grid.shape[0] - 1)
    padded = np.pad(np.maximum(grid, 0), 1)
    vertices, faces, _, _ = marching_cubes(padded, level, allow_degenerate=False)
    whole = trimesh.Trimesh((vertices - 1) * spacing - 1, faces[:, ::-1])
    pieces = whole.split(only_watertight=False)
    mesh = max(pieces, key=lambda piece: len(piece.faces))
    x, y, z = (float(extent) for extent in mesh.extents)
    statistics = MeshStatistics(len(mesh.vertices), len(mesh.faces), (x, y, z), len(pieces), bool(mesh.is_watertight))
    return mesh, statistics


def head_mesh(
    generator: Generator, zs: Tensor, za: Tensor, resolution: int = 96
) -> tuple[trimesh.Trimesh, MeshStatistics]:
    """The mesh of a head with the colours of the field's auxiliary head, as seen from in front.

    Args:
        generator: a trained one.
        zs, za: codes of one head, each [1, Z, 1, 1].
        resolution: samples a side of the grid.

    Raises:
        UserError: see density_grid and mesh_of_density.
    """
    import trimesh

    def density(points: Tensor) -> Tensor:
        return generator.field.density(_encoded(points, generator), zs).flatten()

    grid = density_grid(density, resolution)
    mesh, statistics = mesh_of_density(grid, surface_level(generator.config.rays.delta))
    colours = vertex_colours(generator, zs, za, np.asarray(mesh.vertices, np.float32))
    return trimesh.Trimesh(mesh.vertices, mesh.faces, vertex_colors=colours, process=False), statistics


@torch.no_grad()
def vertex_colours(generator: Generator, zs: Tensor, za: Tensor, vertices: NDArray[np.float32]) -> NDArray[np.uint8]:
    """RGB uint8 [N, 3] of points [N, 3] of a head, looked at along -z."""
    frontal = torch.tensor([0.0, 0.0, -1.0]).reshape(1, 3, 1, 1)
    pe_d = encode(frontal, generator.config.rays.direction_frequencies)
    colours = []
    for part in torch.from_numpy(vertices).split(_CHUNK):
        features = generator.field(_encoded(part, generator), pe_d, zs, za).features
        colours.append(generator.field.colour(features)[0, :, :, 0].T)
    return np.asarray((torch.cat(colours) * 255).round().numpy(), np.uint8)


def _encoded(points: Tensor, generator: Generator) -> Tensor:
    """Points [N, 3] -> pe_x [1, 6L, N, 1]."""
    return encode(points.T[None, :, :, None], generator.config.rays.point_frequencies)


def check_mesh_path(path: Path) -> None:
    """Refuse a path that no mesh can be written to, before anything is computed.

    Raises:
        UserError: its ending is no mesh format's, its folder is missing, or it is a folder itself.
    """
    if path.suffix.lower() not in ENDINGS:
        raise UserError(
            f"cannot write the mesh {path}",
            f"its ending {path.suffix or '(none)'} is not a mesh format's",
            f"give a name that ends in {', '.join(ENDINGS)}",
        )
    if not path.parent.is_dir():
        raise UserError(f"cannot write the mesh {path}", f"there is no folder {path.parent}", "make the folder first")
    if path.is_dir():
        raise UserError(f"cannot write the mesh {path}", "it is a folder", "give another name")


def write_mesh(path: Path, mesh: trimesh.Trimesh) -> None:
    """Write a mesh as .glb, .obj or .ply: to a temporary name first, then renamed.

    Raises:
        UserError: see check_mesh_path, or the file cannot be written.
    """
    check_mesh_path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        exported: Any = mesh.export(file_type=path.suffix.lower()[1:])
        temporary.write_bytes(exported.encode() if isinstance(exported, str) else exported)
        temporary.replace(path)
    except OSError as error:
        reason = error.strerror or str(error)
        raise UserError(
            f"cannot write the mesh {path}", reason, "check the disk and the folder's permissions"
        ) from None
    finally:
        temporary.unlink(missing_ok=True)
