"""The learning rate over a run."""

from __future__ import annotations

import math


def cosine(step: int, steps: int, warmup: float) -> float:
    """Share of the peak rate: rising over that share of the steps, then falling along a cosine to a thousandth
    ("SGDR", Loshchilov and Hutter, ICLR 2017, without restarts).
    """
    rise = max(1, int(steps * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise)))) + 1e-3
