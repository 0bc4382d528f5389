"""How far quantization moves a detector's boxes and scores, and which faces it loses or makes up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors import Detection
from npuface_runtime.detectors.face_maps import MapsInfo, faces_of

Maps = NDArray[np.float32]
_SAME = 0.5
"""Intersection over union from which two boxes are the same face."""


def box_shift(exact: Sequence[Maps], quantized: Sequence[Maps], info: MapsInfo, min_score: float) -> dict[str, float]:
    """Compare the faces in the grids [h, w, 5] of the same pictures.

    Returns:
        mean_px, max_px: of the four edges, in pixels of the network input; score: mean difference; faces: that both
        find; lost, new: that only the float one, only the quantized one finds.
    """
    edges: list[float] = []
    scores: list[float] = []
    lost = new = 0
    for maps in zip(exact, quantized, strict=True):
        first, second = (faces_of(one, info, 1.0, min_score) for one in maps)
        pairs = _pairs(first, second)
        lost, new = lost + len(first) - len(pairs), new + len(second) - len(pairs)
        for one, other in pairs:
            edges += [abs(a - b) for a, b in zip(one.box, other.box, strict=True)]
            scores.append(abs(one.score - other.score))
    return {
        "mean_px": float(np.mean(edges)) if edges else 0.0,
        "max_px": max(edges, default=0.0),
        "score": float(np.mean(scores)) if scores else 0.0,
        "faces": len(scores),
        "lost": lost,
        "new": new,
    }


def _pairs(first: Sequence[Detection], second: Sequence[Detection]) -> list[tuple[Detection, Detection]]:
    """Each of the first with the nearest of the second that is the same face and still free."""
    free, pairs = list(second), []
    for face in first:
        best = max(free, key=lambda other: overlap(face, other), default=None)
        if best is not None and overlap(face, best) >= _SAME:
            free.remove(best)
            pairs.append((face, best))
    return pairs


def overlap(one: Detection, other: Detection) -> float:
    """Intersection over union."""
    a, b = np.array(one.box), np.array(other.box)
    shared = float(np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod())
    total = float((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod()) - shared
    return shared / max(total, 1e-9)
