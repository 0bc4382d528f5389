"""A photograph -> a mesh: detect, find landmarks, align, fit, extract (claim 12)."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_benchmarks.draw import write_picture
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points
from npuface_toolkit.detector.evaluate import open_any
from npuface_toolkit.face3d.aligned_face import AlignedFace, align_face
from npuface_toolkit.face3d.codes_file import save_codes
from npuface_toolkit.face3d.face3d_checkpoint import Face3d, load_face3d
from npuface_toolkit.face3d.identity_encoder import open_identity_encoder
from npuface_toolkit.face3d.mesh import check_mesh_path, check_resolution, head_mesh, write_mesh
from npuface_toolkit.face3d.reconstruct import FitConfig, Reconstruction, fit_head
from npuface_toolkit.face3d.sheets import Picture, yaw_sheet
from npuface_toolkit.faces import read_picture
from npuface_toolkit.labelling import Checkpoint, find_faces

_log = logging.getLogger("npuface.reconstruct")
_LEAST = 24.0
"""Pixels across the smallest face that is reconstructed."""
_SURE = 0.5
"""Share of the surest face's confidence under which a detection is no face."""
_SIDE = 192


@dataclass(frozen=True)
class PhotoMesh:
    """What was made of a photograph.

    Attributes:
        mesh, turntable, codes: the files; the codes can be baked into a renderer (npuface export --codes).
        faces: found in the photograph; the largest is taken.
        yaw, pitch: of the camera around the head, degrees.
        difference_before, difference_after: mean absolute difference of the render to the photograph, 0..1, by the
            first guess and after the fit.
        vertices, triangles, components: of the mesh, and pieces before the largest was kept.
        extents: along x, y and z, in half sides of the head's box.
        watertight: whether the mesh is closed.
    """

    mesh: str
    turntable: str
    codes: str
    faces: int
    yaw: float
    pitch: float
    difference_before: float
    difference_after: float
    vertices: int
    triangles: int
    components: int
    extents: tuple[float, float, float]
    watertight: bool


def photo_to_mesh(
    photo: Path,
    out: Path,
    model: str,
    landmarks: str,
    detector: str,
    identity: str | None,
    steps: int,
    resolution: int,
) -> PhotoMesh:
    """Reconstruct the largest face of a photograph; write the mesh, and a turntable picture beside it.

    Raises:
        UserError: there is no face, a checkpoint cannot be used, the files cannot be written, or one of them is the
            photograph.
    """
    check_mesh_path(out)
    check_resolution(resolution)
    turntable, codes = _beside(out, photo)
    networks = load_face3d(model)
    encoder = open_identity_encoder(identity) if identity else None
    photograph = read_picture(photo)
    aligned, faces = aligned_largest(photograph, photo, landmarks, detector, networks.generator.config.size)
    found = fit_head(networks, aligned.rgb, aligned.pose, FitConfig(steps=steps), encoder, _progress(steps))
    mesh, statistics = head_mesh(networks.generator, found.zs, found.za, resolution)
    write_picture(turntable, turntable_of(networks, found, aligned.rgb))
    save_codes(codes, (found.zs, found.za))
    write_mesh(out, mesh)
    looks = (found.pose.yaw, found.pose.pitch, *found.difference)
    counts = (statistics.vertices, statistics.faces, statistics.components)
    files = (str(out), str(turntable), str(codes))
    return PhotoMesh(*files, faces, *looks, *counts, statistics.extents, statistics.watertight)


def _beside(out: Path, photo: Path) -> tuple[Path, Path]:
    """Where the turntable and the codes of a mesh go. Raises UserError where that is the photograph."""
    turntable, codes = out.with_suffix(".png"), out.with_suffix(".codes.safetensors")
    if photo.resolve() in (turntable.resolve(), codes.resolve()):
        why = f"{turntable}, the turntable beside it, is the photograph itself"
        raise UserError(f"cannot write the mesh {out}", why, "give --out another name or folder")
    return turntable, codes


def aligned_largest(
    photograph: NDArray[np.uint8], name: Path, landmarks: str, detector: str, size: int
) -> tuple[AlignedFace, int]:
    """The largest face of a photograph as the model sees it, and how many faces there are.

    What the detector takes for a face and the landmarks hardly fit is none: the portrait that every export is measured
    on has a larger false alarm of the cascade beside the face.

    Raises:
        UserError: there is no face, or the landmarks have another scheme.
    """
    network = Checkpoint(landmarks)
    if network.scheme.points != 68:
        why = f"{landmarks} finds {network.scheme.points} points"
        raise UserError("cannot find the head's pose", why, "give a network with 68 landmarks")
    found = find_faces(photograph, open_any(detector), _LEAST)
    if not found:
        raise UserError(
            f"cannot reconstruct a face from {name}",
            f"{detector} finds no face of {_LEAST:.0f} pixels or more in it",
            "give a picture where a face is seen from the front, or another --detector",
        )
    sure = [network.sure_points(photograph, box)[1] for box in found]
    faces = [box for box, level in zip(found, sure, strict=True) if level >= _SURE * max(sure)]
    box = max(faces, key=lambda box: float(np.prod(box[2:] - box[:2])))
    points = network.points(photograph, box_of_points(network.points(photograph, box)))
    return align_face(photograph, points, size), len(faces)


def turntable_of(model: Face3d, found: Reconstruction, aligned: Picture) -> Picture:
    """The aligned photograph, the head at its pose, and the head by yaw, in one row."""
    both = [cv2.resize(rgb, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC) for rgb in (aligned, found.rendered)]
    turned = yaw_sheet(model.generator, [(found.zs, found.za)], side=_SIDE)
    return np.asarray(np.hstack([*both, turned]), np.uint8)


def _progress(steps: int) -> Callable[[int], None]:
    def report(done: int) -> None:
        if done % 25 == 0:
            _log.info("fitting: step %d of %d", done, steps)

    return report
