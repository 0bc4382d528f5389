"""How good a 3D model is: on procedural heads against the truth, on photographs by a judge of identities."""

from __future__ import annotations

import logging
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from skimage.metrics import structural_similarity
from torch import Tensor, nn

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.aligned_face import AlignedFace, align_face
from npuface_toolkit.face3d.face3d_checkpoint import Face3d
from npuface_toolkit.face3d.head_pictures import bounded_distance
from npuface_toolkit.face3d.head_shape import HeadShape
from npuface_toolkit.face3d.head_views import HeadViews
from npuface_toolkit.face3d.identity_crop import identities_of, identity_of, poses_of
from npuface_toolkit.face3d.mesh import density_grid, head_mesh, mesh_of_density
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.pose import Pose, rotations
from npuface_toolkit.face3d.rays import RayConfig, ray_inputs
from npuface_toolkit.face3d.reconstruct import FitConfig, Reconstruction, fit_heads
from npuface_toolkit.face3d.sheets import as_picture, as_tensors

_log = logging.getLogger("npuface.evaluate")
MESH_RESOLUTION = 64
_TOGETHER = 20
"""Pictures that are fitted at a time."""
_TURNED = ("15", "30", "45")
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class HeadErrors:
    """Reconstructions of procedural heads from one view each, against the truth; means over heads, medians where said.

    Attributes:
        heads: how many.
        depth_error: mean absolute depth error on cells that the head covers, in half sides of the box.
        depth_spread: mean absolute deviation of the true depth from its mean on the same cells: the error of a plane.
        normal_error: mean angle between normals of the depth maps, degrees.
        pose_error: median angle between the found and the true rotation, degrees; pose_start, of the landmarks' pose.
        extent_error: mean relative error of the mesh's extent along x, y, z.
        watertight, one_piece: share of the meshes that are closed, and whose surface was one component.
        psnr, ssim: of another view of the head, rendered with the codes of this one, against the truth.
    """

    heads: int
    depth_error: float
    depth_spread: float
    normal_error: float
    pose_error: float
    pose_start: float
    extent_error: tuple[float, float, float]
    watertight: float
    one_piece: float
    psnr: float
    ssim: float

    def as_json(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def on_heads(model: Face3d, heads: HeadViews, config: FitConfig | None = None) -> HeadErrors:
    """Reconstruct each head from its first view, with its true landmarks as a perfect detector would give them.

    Raises:
        UserError: there are no heads, they have one view only, or pictures of another size than the model's.
    """
    what, size = "cannot evaluate on these heads", model.generator.config.size
    if not len(heads) or heads.rgb.shape[1] < 2:
        raise UserError(what, "each needs two views", "make more: npuface face3d heads")
    if heads.rgb.shape[2] != size:
        why = f"they are drawn with {heads.rgb.shape[2]} pixels, the model renders {size}"
        raise UserError(what, why, f"draw them with that size: npuface face3d heads --size {size}")
    rgb = heads.rgb[:, 0]
    aligned = [align_face(one, points, rgb.shape[1]) for one, points in zip(rgb, heads.landmarks[:, 0], strict=True)]
    rows = []
    for first in range(0, len(heads), _TOGETHER):
        part = aligned[first : first + _TOGETHER]
        found = fit_heads(model, np.stack([face.rgb for face in part]), [face.pose for face in part], config)
        for number, (face, head) in enumerate(zip(part, found, strict=True), first):
            rows.append(_of_head(model, heads.part(slice(number, number + 1)), face, head))
        _log.info("%d of %d heads", len(rows), len(heads))
    table = {name: np.array([row[name] for row in rows]) for name in rows[0]}
    mean = {name: float(values.mean()) for name, values in table.items() if values.ndim == 1}
    mean |= {name: float(np.median(table[name])) for name in ("pose_error", "pose_start")}
    x, y, z = table["extent_error"].mean(0)
    return HeadErrors(heads=len(heads), extent_error=(float(x), float(y), float(z)), **mean)


def _of_head(model: Face3d, head: HeadViews, aligned: AlignedFace, found: Reconstruction) -> dict[str, Any]:
    truth = head.poses[0]
    rays = model.generator.config.rays
    with torch.no_grad():
        there = [
            model.generator.render(ray_inputs(rotations(torch.from_numpy(p[None])), rays), found.zs, found.za)
            for p in truth[:2]
        ]
    opacity = there[0].opacity[0, 0]
    depth = (there[0].depth[0, 0] + (1 - opacity) * rays.distance).double().numpy()
    known = head.opacity[0, 0] > 0.9
    wanted = head.depth[0, 0].astype(np.float64)
    _, statistics = head_mesh(model.generator, found.zs, found.za, MESH_RESOLUTION)
    true_extents = np.array(_true_mesh(head)[1].extents)
    other = as_picture(there[1].rgb[0])
    return {
        "depth_error": float(np.abs(depth - wanted)[known].mean()),
        "depth_spread": float(np.abs(wanted[known] - wanted[known].mean()).mean()),
        "normal_error": _normal_error(depth, wanted, known, rays),
        "pose_error": angle_between(found.pose, truth[0]),
        "pose_start": angle_between(aligned.pose, truth[0]),
        "extent_error": np.abs(np.array(statistics.extents) / true_extents - 1),
        "watertight": float(statistics.watertight),
        "one_piece": float(statistics.components == 1),
        "psnr": psnr(other, head.rgb[0, 1]),
        "ssim": float(structural_similarity(other, head.rgb[0, 1], channel_axis=2)),
    }


def _true_mesh(head: HeadViews) -> Any:
    shape = HeadShape(*(float(v) for v in head.shapes[0]))

    def density(points: Tensor) -> Tensor:
        return 1 - torch.from_numpy(bounded_distance(points.numpy(), shape))

    return mesh_of_density(density_grid(density, MESH_RESOLUTION), 1.0)


def _normal_error(made: Floats, wanted: Floats, known: NDArray[np.bool_], camera: RayConfig) -> float:
    """Mean angle in degrees between the normals of two depth maps, where a cell and its neighbours are known."""
    inner = known[1:-1, 1:-1] & known[:-2, 1:-1] & known[2:, 1:-1] & known[1:-1, :-2] & known[1:-1, 2:]
    cell = 2 * camera.tan_half * camera.distance / len(made)

    def normals(depth: Floats) -> Floats:
        down, across = (depth[2:, 1:-1] - depth[:-2, 1:-1]) / 2, (depth[1:-1, 2:] - depth[1:-1, :-2]) / 2
        normal = np.stack([across, down, np.full_like(down, cell)], -1)
        return np.asarray(normal / np.linalg.norm(normal, axis=-1, keepdims=True), np.float64)

    cosine = (normals(made) * normals(wanted)).sum(-1)[inner]
    return float(np.degrees(np.arccos(cosine.clip(-1, 1))).mean())


def angle_between(found: Pose, truth: NDArray[np.floating]) -> float:
    """The angle of the rotation between two poses, degrees."""
    pair = torch.tensor([[found.yaw, found.pitch, found.roll], [float(v) for v in truth]])
    one, other = rotations(pair.float())
    return float(torch.rad2deg(torch.arccos((((one.T @ other).trace() - 1) / 2).clamp(-1, 1))))


def psnr(made: NDArray[np.uint8], wanted: NDArray[np.uint8]) -> float:
    """Peak signal to noise ratio of pictures of 0..255, dB; 99 where they are equal."""
    error = float(((made.astype(np.float64) - wanted) ** 2).mean())
    return min(99.0, 10 * np.log10(255**2 / error)) if error else 99.0


@dataclass(frozen=True)
class PhotoErrors:
    """Reconstructions of photographs, each judged by a network that tells identities apart.

    Attributes:
        photos: how many.
        above: share whose reconstruction is closer to the photograph than `threshold`.
        cosine: mean cosine of reconstruction and photograph.
        threshold: the 99th percentile of the cosine of two photographs of different people.
        across_yaw: mean cosine of the photograph and the head at +-15, +-30 and +-45 degrees.
        psnr: mean, at the photograph's pose.
    """

    photos: int
    above: float
    cosine: float
    threshold: float
    across_yaw: dict[str, float]
    psnr: float


def different_people(judge: nn.Module, photos: Photos, camera: RayConfig) -> float:
    """The 99th percentile of the cosine between photographs of different people.

    Raises:
        UserError: there are fewer than two people.
    """
    if len(set(photos.identities)) < 2:
        raise UserError("cannot compare identities", "the photographs show one person", "give more faces")
    vectors = identities_of(judge, photos.rgb, photos.poses, camera)
    cosine = (vectors @ vectors.T).numpy()
    who = np.array(photos.identities)
    return float(np.quantile(cosine[who[:, None] != who[None]], 0.99))


def on_photos(
    model: Face3d, photos: Photos, judge: nn.Module, config: FitConfig | None = None, fitted_by: nn.Module | None = None
) -> tuple[PhotoErrors, list[Reconstruction]]:
    """Reconstruct photographs and compare them with themselves, and different people with each other.

    Args:
        model: a trained one.
        photos: aligned; of people whom training never saw.
        judge: identity encoder that measures.
        config: of the fit.
        fitted_by: identity encoder in the fit's loss; None fits pixels alone, so that the judge had no say.
    """
    camera = model.generator.config.rays
    threshold = different_people(judge, photos, camera)
    poses = poses_of(torch.from_numpy(photos.poses))
    found: list[Reconstruction] = []
    for first in range(0, len(photos), _TOGETHER):
        part = slice(first, first + _TOGETHER)
        found += fit_heads(model, photos.rgb[part], poses[part], config, fitted_by)
        _log.info("%d of %d faces", len(found), len(photos))
    rows = [_of_photo(model, judge, *row) for row in zip(photos.rgb, poses, found, strict=True)]
    cosines = np.array([row["cosine"] for row in rows])
    across = {yaw: float(np.mean([row[yaw] for row in rows])) for yaw in _TURNED}
    above, mean = float((cosines > threshold).mean()), float(cosines.mean())
    return PhotoErrors(
        len(photos), above, mean, threshold, across, float(np.mean([row["psnr"] for row in rows]))
    ), found


@torch.no_grad()
def _of_photo(
    model: Face3d, judge: nn.Module, rgb: NDArray[np.uint8], pose: Pose, head: Reconstruction
) -> dict[str, float]:
    """How like a head is to its photograph, from its side and turned to each yaw, left and right."""
    camera = model.generator.config.rays
    wanted = identity_of(judge, as_tensors(rgb[None]), [pose], camera)[0]
    row = {"cosine": float(identity_of(judge, as_tensors(head.rendered[None]), [pose], camera)[0] @ wanted)}
    row["psnr"] = psnr(head.rendered, rgb)
    for yaw in _TURNED:
        both = torch.tensor([[float(yaw), 0.0, 0.0], [-float(yaw), 0.0, 0.0]])
        codes = (code.expand(2, -1, -1, -1) for code in (head.zs, head.za))
        made = model.generator(*ray_inputs(rotations(both), camera), *codes)
        row[yaw] = float((identity_of(judge, made, poses_of(both), camera) @ wanted).mean())
    return row
