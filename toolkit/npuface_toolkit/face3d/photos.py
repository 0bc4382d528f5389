"""Photographs of real faces for the 3D model: aligned by their landmarks, with the pose that those give."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.aligned_face import align_face
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face, read_picture

_log = logging.getLogger("npuface.train")
MAX_YAW, MAX_PITCH = 45.0, 30.0
"""Degrees: a face that is turned further is left out, its landmarks say too little of its pose."""


@dataclass(frozen=True)
class Photos:
    """Aligned faces: rgb uint8 [N, n, n, 3], poses float32 [N, 3] in degrees, and the identity of each."""

    rgb: NDArray[np.uint8]
    poses: NDArray[np.float32]
    identities: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.rgb)

    def part(self, chosen: NDArray[np.intp]) -> Photos:
        """Those at the places, of a list."""
        return Photos(self.rgb[chosen], self.poses[chosen], tuple(self.identities[i] for i in chosen))


def read_portraits(sources: Sequence[str]) -> list[Face]:
    """The faces of some sources, all with 68 points.

    Raises:
        UserError: a source cannot be read, or its faces have other points.
    """
    found: list[Face] = []
    for source in sources:
        faces, scheme = read_faces(source)
        if scheme.points != 68:
            why = f"its faces have {scheme.points} points"
            raise UserError(f"cannot align the faces of {source}", why, "the 3D model takes faces with 68 points")
        found += faces
    return found


def aligned_photos(faces: Sequence[Face], size: int) -> Photos:
    """Align faces with 68 points; those in profile or without a pose are left out, and their number is logged.

    Raises:
        UserError: a picture cannot be read.
    """
    pictures, poses, identities = [], [], []
    for face in faces:
        photograph = read_picture(face.picture)
        try:
            aligned = align_face(photograph, face.points, size)
        except UserError:
            continue
        if abs(aligned.pose.yaw) > MAX_YAW or abs(aligned.pose.pitch) > MAX_PITCH:
            continue
        pictures.append(aligned.rgb)
        poses.append((aligned.pose.yaw, aligned.pose.pitch, 0.0))
        identities.append(face.identity)
    if len(pictures) < len(faces):
        _log.info(
            "%d of %d faces are in profile or without a pose and left out", len(faces) - len(pictures), len(faces)
        )
    empty = np.zeros((0, size, size, 3), np.uint8)
    rgb = np.stack(pictures) if pictures else empty
    return Photos(rgb, np.array(poses, np.float32).reshape(-1, 3), tuple(identities))
