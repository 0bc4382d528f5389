"""Where the camera was, from 68 landmarks: the pose that a reconstruction starts from.

Perspective-n-point on a mean face. The contour of the jaw is left out: in a turned head its points slide along the
silhouette and are not places on the head.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.pose import Pose, camera_to_world

Floats = NDArray[np.float64]

POINTS = 68
JAW = 17
"""The first points are the jaw's."""
FOCAL = 0.5 / 0.27
"""Focal length in picture sides where nothing better is known: that of the model's own camera."""
_ROUNDS = 3
_FLAT = 0.02
"""Least share of the second principal axis of the points in the first."""

_HALF = {
    **dict(enumerate([(-74, 2, -75), (-73, -17, -73), (-70, -36, -70), (-67, -53, -64), (-60, -72, -52)])),
    **dict(enumerate([(-50, -87, -36), (-37, -99, -20), (-22, -108, -8), (0, -113, -4)], 5)),
    **dict(enumerate([(-58, 16, -12), (-48, 24, -3), (-37, 25, 4), (-26, 24, 9), (-16, 21, 12)], 17)),
    **dict(enumerate([(0, 1, 14), (0, -12, 20), (0, -24, 27), (0, -35, 34)], 27)),
    **dict(enumerate([(-14, -42, 14), (-8, -43, 19), (0, -45, 21)], 31)),
    **dict(enumerate([(-46, 2, -10), (-39, 6, -1), (-26, 6, 0), (-18, 1, -2), (-26, -2, 0), (-39, -2, -2)], 36)),
    **dict(enumerate([(-29, -63, 4), (-18, -58, 13), (-6, -56, 18), (0, -57, 19)], 48)),
    **{57: (0, -77, 15), 58: (-10, -76, 15), 59: (-20, -72, 12), 60: (-26, -64, 6), 61: (-11, -62, 15)},
    **{62: (0, -63, 16), 66: (0, -68, 14.5), 67: (-12, -67, 14)},
}
"""A face in millimetres by point number, the half at the left of a picture: x right, y up, z out of the face. x and y
are rounded means of real faces that look at the camera, with 92 mm between the outer eye corners and the mouth nearly
closed; z are rough anthropometric depths. No scan and no third-party model."""
_CENTRE = (0.0, -22.0, -62.0)
"""Millimetres: where the middle of the head's box lies in that face."""
_HALF_SIDE = 140.0
"""Millimetres that half a side of the head's box stands for."""


def mean_landmarks(flip: tuple[int, ...]) -> Floats:
    """The mean face [68, 3] in coordinates of the head's box.

    Args:
        flip: for each point its partner in a mirrored face (see schemes).
    """
    face = np.zeros((POINTS, 3))
    for point, place in _HALF.items():
        face[point] = place
        face[flip[point]] = np.array(place) * (-1 if flip[point] != point else 1, 1, 1)
    return (face - _CENTRE) / _HALF_SIDE


def project(points: Floats, pose: Pose, distance: float, tan_half: float) -> Floats:
    """Points of the head's box [K, 3] -> their places in the model's picture [K, 2], x right and y down, 0..1."""
    rotation = camera_to_world([pose])[0].double().numpy()
    seen = points @ rotation - (0, 0, distance)
    across = seen[:, :2] / -seen[:, 2:] / tan_half
    return np.asarray((across * (1, -1) + 1) / 2, np.float64)


def head_pose(landmarks: NDArray[np.floating], face: Floats, focal: float = FOCAL) -> Pose:
    """The pose of the camera around the head.

    Args:
        landmarks: [68, 2] in pixels, x right and y down.
        face: the same points on the head [68, 3], in coordinates of its box.
        focal: focal length over the longer side of the landmarks' box times 1.6, about a portrait's side.

    Raises:
        UserError: the landmarks are not 68, not finite, or those inside the jaw lie on a line or a point.
    """
    _check(landmarks)
    inner, places = landmarks[JAW:].astype(np.float64), np.ascontiguousarray(face[JAW:])
    length = focal * 1.6 * float(np.ptp(landmarks, axis=0).max())
    centre = (inner.min(0) + inner.max(0)) / 2
    for _ in range(_ROUNDS):  # the model's camera looks at the middle of the head: turn the photo's there
        camera = np.array([[length, 0, centre[0]], [0, length, centre[1]], [0, 0, 1]])
        try:
            found, turn, shift = cv2.solvePnP(places, inner, camera, None, flags=cv2.SOLVEPNP_SQPNP)
        except cv2.error:  # it asserts that they do not vanish beside the focal length
            raise _no_pose("the eyes, nose and mouth are tiny beside the jaw") from None
        if not found or not shift[2, 0] > 0:  # which may be no number
            raise _no_pose("no camera sees a face like that")
        centre = centre + length * shift[:2, 0] / shift[2, 0]
    return _pose_of(cv2.Rodrigues(turn)[0])


def _check(landmarks: NDArray[np.floating]) -> None:
    if landmarks.shape != (POINTS, 2):
        raise _no_pose(f"the landmarks are {list(landmarks.shape)}, not [68, 2]")
    if not np.isfinite(landmarks).all():
        raise _no_pose("a landmark is not finite")
    inner = landmarks[JAW:].astype(np.float64)
    first, second = np.linalg.svd(inner - inner.mean(0), compute_uv=False)
    if second <= _FLAT * first or first == 0:
        raise _no_pose("the landmarks lie on a line or a point")


def _no_pose(why: str) -> UserError:
    return UserError("cannot find the head's pose", why, "give a picture where the whole face is seen")


def _pose_of(world_to_camera: Floats) -> Pose:
    """Angles of OpenCV's rotation (camera x right, y down, z forward); see pose.camera_to_world for their order."""
    rotation = world_to_camera.T @ np.diag([1.0, -1.0, -1.0])
    yaw = np.arctan2(rotation[0, 2], rotation[2, 2])
    pitch = np.arcsin(np.clip(rotation[1, 2], -1, 1))
    roll = np.arctan2(rotation[1, 0], rotation[1, 1])
    return Pose(*(float(np.rad2deg(angle)) for angle in (yaw, pitch, roll)))
