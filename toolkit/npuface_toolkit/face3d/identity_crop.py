"""The model's pictures, cut as networks that tell people apart want faces: eyes, nose and mouth at fixed places."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from npuface_toolkit.face3d.aligned_face import similarity
from npuface_toolkit.face3d.landmark_pose import mean_landmarks, project
from npuface_toolkit.face3d.pose import Pose
from npuface_toolkit.face3d.rays import RayConfig
from npuface_toolkit.face3d.sheets import as_tensors
from npuface_toolkit.schemes import scheme_by_name

SIZE = (112, 96)
_PLACES = ((30.2946, 51.6963), (65.5318, 51.5014), (48.0252, 71.7366), (33.5493, 92.3655), (62.7299, 92.2041))
"""Of eyes, nose and corners of the mouth in a picture of that size: the five points of SphereFace's alignment (Liu
et al., CVPR 2017), which the public identity networks were trained with."""
_POINTS = ((36, 37, 38, 39, 40, 41), (42, 43, 44, 45, 46, 47), (30,), (48,), (54,))


def identity_of(encoder: nn.Module, pictures: Tensor, poses: Sequence[Pose], camera: RayConfig) -> Tensor:
    """Vectors [B, length] of the model's pictures [B, 3, n, n], RGB in 0..1, at those poses; differentiable."""
    vectors: Tensor = encoder(face_crops(pictures, poses, camera))
    return vectors


@torch.no_grad()
def identities_of(
    encoder: nn.Module, pictures: NDArray[np.uint8], angles: NDArray[np.float32], camera: RayConfig
) -> Tensor:
    """Vectors [N, length] of pictures uint8 [N, n, n, 3] at yaw, pitch and roll in degrees [N, 3], one at a time."""
    poses = poses_of(torch.from_numpy(angles))
    found = [
        identity_of(encoder, as_tensors(rgb[None]), [pose], camera) for rgb, pose in zip(pictures, poses, strict=True)
    ]
    return torch.cat(found)


def face_crops(pictures: Tensor, poses: Sequence[Pose], camera: RayConfig) -> Tensor:
    """[B, 3, n, n] -> [B, 3, 112, 96]: the five points of the mean face at each pose come to their places.

    Where a head is turned, its points lie elsewhere in the picture; a fixed cut would compare different places.
    """
    (height, width), side = SIZE, pictures.shape[-1]
    to_unit = np.array([[2 / side, 0, 1 / side - 1], [0, 2 / side, 1 / side - 1], [0, 0, 1]])
    from_unit = np.array([[width / 2, 0, (width - 1) / 2], [0, height / 2, (height - 1) / 2], [0, 0, 1]])
    matrices = []
    for pose in poses:
        back = similarity(np.array(_PLACES), _five_points(pose, camera) * side - 0.5)
        matrices.append((to_unit @ np.concatenate([back, [[0, 0, 1]]]) @ from_unit)[:2])
    theta = torch.from_numpy(np.stack(matrices)).to(pictures)
    grid = functional.affine_grid(theta, [len(poses), 3, height, width], align_corners=False)
    return functional.grid_sample(pictures, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _five_points(pose: Pose, camera: RayConfig) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    face = mean_landmarks(scheme_by_name("ibug-68").flip)
    five = np.stack([face[list(points)].mean(0) for points in _POINTS])
    return project(five, pose, camera.distance, camera.tan_half)


def poses_of(angles: Tensor) -> list[Pose]:
    """Rows of yaw, pitch and roll in degrees [B, 3] -> poses."""
    return [Pose(*row) for row in angles.detach().tolist()]
