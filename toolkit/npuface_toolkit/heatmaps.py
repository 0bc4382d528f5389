"""Target heatmaps: Gaussians at the landmarks, ridges along the boundary curves."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_toolkit.schemes import Scheme


def landmark_heatmaps(points: Tensor, size: int, sigma: float) -> Tensor:
    """Points [N, K, 2] in heatmap cells -> Gaussians [N, K, size, size] with peak 1."""
    cells = torch.arange(size, dtype=points.dtype, device=points.device)
    gx = torch.exp(-((cells - points[..., 0:1]) ** 2) / (2 * sigma**2))
    gy = torch.exp(-((cells - points[..., 1:2]) ** 2) / (2 * sigma**2))
    return gy[..., :, None] * gx[..., None, :]


def boundary_heatmaps(points: NDArray[np.float32], scheme: Scheme, size: int, sigma: float) -> NDArray[np.float32]:
    """Points [K, 2] in heatmap cells -> ridges [B, size, size]: a Gaussian of the distance to each curve.

    After "Look at Boundary" (Wu et al., CVPR 2018), with straight pieces between neighbouring points.
    """
    maps = np.zeros((len(scheme.boundaries), size, size), np.float32)
    shift = 4
    fixed = np.round(np.clip(points, -size, 2 * size) * (1 << shift)).astype(np.int32)
    for plane, curve in zip(maps, scheme.boundaries, strict=True):
        canvas = np.full((size, size), 255, np.uint8)
        cv2.polylines(canvas, [fixed[list(curve)]], False, 0, thickness=1, shift=shift)
        distance = cv2.distanceTransform(canvas, cv2.DIST_L2, 3)
        near = distance <= 3 * sigma
        plane[near] = np.exp(-(distance[near] ** 2) / (2 * sigma**2))
    return maps
