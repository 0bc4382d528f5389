"""The one photograph that everybody has: what parity is measured on, and what the demo shows."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def photograph() -> NDArray[np.uint8]:
    """scikit-image's public-domain portrait of Eileen Collins, RGB uint8 [512, 512, 3]."""
    from skimage import data

    return np.asarray(data.astronaut(), np.uint8)
