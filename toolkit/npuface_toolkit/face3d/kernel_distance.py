"""How far two sets of pictures are apart: the kernel distance of their features, and features of low level.

The estimator is that of "Demystifying MMD GANs" (Binkowski et al., ICLR 2018, arXiv:1801.01401): the squared maximum
mean discrepancy with the kernel (x y / d + 1)^3, without bias, so that it may be a little below 0 for sets of one kind.
Theirs is of an Inception network's features. These are of an identity network, or the ones below: the figures compare
with each other and with their floor, real pictures against real ones, and with no published KID or FID.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_BLOCK, _SCALES = 8, (1, 2)


def kernel_distance(one: Floats, other: Floats) -> float:
    """Squared distance of two sets of features [N, d] and [M, d], each of two pictures or more."""
    if min(len(one), len(other)) < 2:
        raise ValueError(f"sets of {len(one)} and {len(other)} pictures have no distance")

    def kernel(a: Floats, b: Floats) -> Floats:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    def within(a: Floats) -> float:
        values = kernel(a, a)
        return float((values.sum() - np.trace(values)) / (len(a) * (len(a) - 1)))

    return within(one) + within(other) - 2 * float(kernel(one, other).mean())


def low_level_features(rgb: NDArray[np.uint8]) -> Floats:
    """What a blur, a grid or a wrong colour changes: logarithms of mean absolute cosine coefficients.

    Args:
        rgb: pictures [N, n, n, 3], n at least 16; what is beyond the last whole block does not count.

    Returns:
        [N, 384]: of luma and both colour differences, at full and at half size, the 64 frequencies of 8 x 8 blocks.
    """
    return np.stack([np.concatenate([_spectrum(_at(picture, scale)) for scale in _SCALES]) for picture in rgb])


def _at(picture: NDArray[np.uint8], scale: int) -> NDArray[np.float32]:
    planes = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.float32) - 128
    side = len(picture) // scale
    return np.asarray(cv2.resize(planes, (side, side), interpolation=cv2.INTER_AREA), np.float32)


def _spectrum(planes: NDArray[np.float32]) -> Floats:
    blocks = len(planes) // _BLOCK
    cells = planes[: blocks * _BLOCK, : blocks * _BLOCK].reshape(blocks, _BLOCK, blocks, _BLOCK, 3)
    cosines = np.array([cv2.dct(row) for row in np.eye(_BLOCK, dtype=np.float32)])[..., 0].T
    spectra = np.einsum("ui,aibjc,vj->abuvc", cosines, cells, cosines)
    return np.asarray(np.log1p(np.abs(spectra).mean(axis=(0, 1))).ravel(), np.float64)


def standardised(known: Floats, *sets: Floats) -> list[Floats]:
    """The sets, each feature less its mean over the known pictures and over its spread there."""
    mean, spread = known.mean(axis=0), known.std(axis=0).clip(1e-3)
    return [(part - mean) / spread for part in sets]
