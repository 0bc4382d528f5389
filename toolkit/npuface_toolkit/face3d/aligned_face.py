"""A face in a photograph -> the picture that the model's own camera would have taken, and where that camera was."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_toolkit.face3d.landmark_pose import JAW, head_pose, mean_landmarks, project
from npuface_toolkit.face3d.pose import Pose
from npuface_toolkit.face3d.rays import RayConfig
from npuface_toolkit.schemes import scheme_by_name

_SHARP = 2.0
"""A photograph is averaged to at most this many of its pixels to one of the picture before it is sampled."""


@dataclass(frozen=True)
class AlignedFace:
    """A face as the model sees it.

    Attributes:
        rgb: uint8 [size, size, 3].
        pose: of the camera around the head, without roll: the picture is turned upright.
        to_picture: photograph pixels (x, y, 1) -> picture pixels [2, 3].
        landmarks: the photograph's points in picture pixels [68, 2].
    """

    rgb: NDArray[np.uint8]
    pose: Pose
    to_picture: NDArray[np.float64]
    landmarks: NDArray[np.float64]


def align_face(
    photograph: NDArray[np.uint8], landmarks: NDArray[np.floating], size: int, camera: RayConfig | None = None
) -> AlignedFace:
    """Turn, scale and cut a photograph so that the face lies where the model's camera would have it.

    The pose comes from the landmarks (see landmark_pose); the cut is the similarity that brings the inner landmarks
    best onto those of the mean face in that pose (least squares: Umeyama, 1991).

    Args:
        photograph: RGB [H, W, 3].
        landmarks: 68 points in its pixels.
        size: side of the picture.
        camera: its distance and angle; those of a default RayConfig without it.

    Raises:
        UserError: the landmarks are not those of a face (see head_pose).
    """
    camera = camera or RayConfig()
    face = mean_landmarks(scheme_by_name("ibug-68").flip)
    found = head_pose(landmarks, face)
    pose = Pose(found.yaw, found.pitch)
    places = project(face, pose, camera.distance, camera.tan_half) * size - 0.5
    matrix = similarity(landmarks[JAW:].astype(np.float64), places[JAW:])
    shrink = 1 / np.hypot(matrix[0, 0], matrix[1, 0])
    source = photograph
    if shrink > _SHARP:  # averaged first: a sample of one pixel in many would be noise
        source = np.asarray(cv2.GaussianBlur(photograph, (0, 0), float(shrink) / 2.5), np.uint8)
    rgb = cv2.warpAffine(source, matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    points = landmarks @ matrix[:, :2].T + matrix[:, 2]
    return AlignedFace(np.asarray(rgb, np.uint8), pose, matrix, points)


def similarity(source: NDArray[np.float64], target: NDArray[np.float64]) -> NDArray[np.float64]:
    """Rotation, scale and shift [2, 3] that bring points [K, 2] closest to others (Umeyama, 1991)."""
    from_mean, to_mean = source.mean(0), target.mean(0)
    a, b = source - from_mean, target - to_mean
    cos = float((a * b).sum())
    sin = float((a[:, 0] * b[:, 1] - a[:, 1] * b[:, 0]).sum())
    turn = np.array([[cos, -sin], [sin, cos]]) / float((a**2).sum())
    return np.concatenate([turn, (to_mean - turn @ from_mean)[:, None]], 1)
