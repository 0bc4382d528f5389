"""Pose-based data balancing: turned faces are rare in every data set, so training shows them more often.

After Feng et al., "Wing Loss for Robust Facial Landmark Localisation with Convolutional Neural Networks", CVPR 2018
(arXiv:1711.06753), "Pose-based data balancing": faces are sorted into bins by pose, and those in sparse bins are
repeated. There the pose is the first principal component of aligned shapes; here it is how unlike its mirror image a
face is, which needs no training set and counts left and right alike.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from npuface_toolkit.faces import Face
from npuface_toolkit.schemes import Scheme

_BINS = 8
_USUAL = 0.99
"""Share of the faces over which the bins reach; beyond stand a few odd labels."""


def asymmetry(points: NDArray[np.float32], scheme: Scheme) -> float:
    """How unlike its mirror image a face is, 0 for a frontal one; it does not depend on place, size or roll.

    Args:
        points: landmarks [K, 2], in pixels, not all in one place.

    Returns:
        The distance of the shape from its mirror image, turned to fit it best, over the shape's own size.
    """
    shape = points[:, 0] + 1j * points[:, 1].astype(np.complex128)
    shape = shape - shape.mean()
    mirrored = -np.conj(shape[list(scheme.flip)])
    fit = np.vdot(mirrored, shape)  # its angle is the rotation that brings them together
    turned = mirrored * (fit / abs(fit)) if fit else mirrored
    return float(np.linalg.norm(shape - turned) / np.linalg.norm(shape))


def balanced(faces: Sequence[Face], scheme: Scheme, most: int) -> list[Face]:
    """The faces, those in rare poses repeated one after the other, each at most `most` times.

    Every bin grows towards the size of the largest; one face alone, or `most` of 1, changes nothing.
    """
    if most <= 1 or len(faces) < 2:
        return list(faces)
    poses = np.array([asymmetry(face.points, scheme) for face in faces])
    width = max(float(np.quantile(poses, _USUAL)), 1e-9) / _BINS
    bins = np.minimum((poses / width).astype(int), _BINS - 1)
    counts = np.bincount(bins, minlength=_BINS)
    times = np.clip(np.rint(counts.max() / np.maximum(counts, 1)), 1, most).astype(int)
    return [face for face, pose in zip(faces, bins, strict=True) for _ in range(times[pose])]
