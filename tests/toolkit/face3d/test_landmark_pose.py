"""Head pose from projected landmarks."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.landmark_pose import head_pose, mean_landmarks, project
from npuface_toolkit.face3d.pose import Pose
from npuface_toolkit.face3d.rays import RayConfig
from npuface_toolkit.schemes import scheme_by_name

FACE = mean_landmarks(scheme_by_name("ibug-68").flip)
RAYS = RayConfig()


def seen(pose: Pose, noise: float = 0.0) -> NDArray[np.float64]:
    """Landmarks in a picture of 200 pixels a side."""
    exact = project(FACE, pose, RAYS.distance, RAYS.tan_half)
    return 200 * (exact + noise * np.random.default_rng(0).standard_normal(exact.shape))


def error(found: Pose, pose: Pose) -> float:
    return max(abs(found.yaw - pose.yaw), abs(found.pitch - pose.pitch), abs(found.roll - pose.roll))


POSES = [Pose(), Pose(25, 0, 0), Pose(-40, 10, 5), Pose(10, -20, 0), Pose(0, 0, 30), Pose(30, 15, -20)]


@pytest.mark.parametrize("pose", POSES)
@pytest.mark.parametrize("noise", [0.0, 0.005])
def test_the_pose_of_projected_landmarks_is_found(pose: Pose, noise: float) -> None:
    assert error(head_pose(seen(pose, noise), FACE), pose) <= 3


def test_a_mirrored_face_turns_the_other_way() -> None:
    landmarks = seen(Pose(30, 0, 0))[list(scheme_by_name("ibug-68").flip)] * (-1, 1)
    assert error(head_pose(landmarks, FACE), Pose(-30, 0, 0)) <= 3


def test_the_mean_face_is_symmetric_and_looks_out_of_the_box() -> None:
    flip = list(scheme_by_name("ibug-68").flip)
    np.testing.assert_allclose(FACE[flip] * (-1, 1, 1), FACE)
    assert np.abs(FACE).max() < 1
    assert FACE[30, 2] == FACE[:, 2].max()  # the tip of the nose is in front
    assert FACE[8, 1] < FACE[57, 1] < FACE[30, 1] < FACE[36, 1] < FACE[19, 1]


@pytest.mark.parametrize(
    ("landmarks", "reason"),
    [
        (np.zeros((68, 2)), "line or a point"),
        (np.arange(136.0).reshape(68, 2), "line or a point"),
        (np.full((68, 2), np.nan), "not finite"),
        (np.zeros((98, 2)), "not \\[68, 2\\]"),
        (np.concatenate([seen(Pose())[:17], np.full((51, 2), 100.0)]), "line or a point"),
        (np.concatenate([seen(Pose())[:17], 100 + 1e-3 * seen(Pose())[17:]]), "tiny beside the jaw"),
        (np.concatenate([seen(Pose())[:17], seen(Pose())[17:] * (1, 0)]), "line or a point"),
    ],
)
def test_degenerate_landmarks_are_refused(landmarks: NDArray[np.float64], reason: str) -> None:
    with pytest.raises(UserError, match=reason):
        head_pose(landmarks, FACE)
