"""Accuracy of landmarks: NME by the distance of the outer eye corners, failure rate, area under the error curve."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npuface_toolkit.schemes import Scheme

FAILURE = 0.10
"""A face whose NME exceeds this failed; the error curve is integrated up to it."""


@dataclass(frozen=True)
class Accuracy:
    """What a set of faces says about a network.

    Attributes:
        nme: mean over faces of (mean point distance / outer-eye-corner distance), as a fraction.
        failure_rate: share of faces with an NME above 10 %.
        auc: area under the cumulative error curve from 0 to 10 %, over its width; 1 is perfect.
        faces: number of faces.
        points: number of landmarks counted on each.
    """

    nme: float
    failure_rate: float
    auc: float
    faces: int
    points: int


def eye_distance(points: NDArray[np.floating], scheme: Scheme) -> NDArray[np.float64]:
    """Distance of the outer eye corners, which the NME is over: points [..., K, 2] -> [...]."""
    a, b = scheme.eye_corners
    return np.asarray(np.linalg.norm(points[..., a, :] - points[..., b, :], axis=-1), np.float64)


def face_errors(
    predicted: NDArray[np.floating], truth: NDArray[np.floating], scheme: Scheme, points: tuple[int, ...] | None = None
) -> NDArray[np.float64]:
    """NME of each face (patent, equation 15): points [N, K, 2] twice -> [N]; `points` names the landmarks counted."""
    distance = np.linalg.norm(predicted.astype(np.float64) - truth, axis=-1)
    if points is not None:
        distance = distance[:, list(points)]
    return np.asarray(distance.mean(axis=1) / np.maximum(eye_distance(truth, scheme), 1e-6))


def summarise(errors: NDArray[np.float64], points: int) -> Accuracy:
    """Errors [N] of faces as fractions -> Accuracy. The area is exact: mean of max(0, 1 - error / 10 %)."""
    if not len(errors):
        raise ValueError("no faces to summarise")
    auc = float(np.clip(1 - errors / FAILURE, 0, None).mean())
    return Accuracy(float(errors.mean()), float((errors > FAILURE).mean()), auc, len(errors), points)
