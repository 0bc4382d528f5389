"""How far labels lie beside the faces' own mirror axes: a shift of labels that pictures show without any network.

A face seen from the front is its own mirror image, about an axis that its pixels have and that its labels claim. Where
labels are shifted in the picture, the claimed axis lies beside the true one by what of the shift points across it: by
that along x for an upright face, by some of that along y as well for one that leans. So many faces tell x closely, and
y coarsely.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy.optimize import least_squares

from npuface_toolkit.faces import Face, read_picture
from npuface_toolkit.metrics import eye_distance
from npuface_toolkit.pose_balance import asymmetry
from npuface_toolkit.schemes import Scheme

Floats = NDArray[np.float64]

_FRONTAL = 0.15
"""Asymmetry of the points up to which a face counts as seen from the front."""
_FEWEST = 30
_EYES = 72.0
"""Pixels between the outer eye corners in the patch around them that is compared with its mirror image."""
_SIDE, _HEIGHT = 164, 50
_REACH = 14
"""How far the patch is moved against its mirror image, to both sides; twice what the axis moves by."""
_ALIKE = 0.5
"""Correlation with its mirror image below which a face says nothing: hair or a hand lies over half of it."""
_SCATTER = 0.015
"""Of the axes of single faces, over the eye distance: of what lies further out, little is believed."""
_DRAWS = 100


@dataclass(frozen=True)
class MirrorShift:
    """What the mirror axes of faces say of their labels.

    Attributes:
        share: how far the labels lie right of and below what they label, (x, y), over the outer eye corners' distance.
        deviation: standard deviation of both, over people drawn anew.
        faces: how many were seen from the front.
    """

    share: tuple[float, float]
    deviation: tuple[float, float]
    faces: int


def mirror_shift(faces: Sequence[Face], scheme: Scheme) -> MirrorShift | None:
    """How far labels lie right of and below their faces; None where fewer than 30 are seen from the front.

    Raises:
        UserError: a picture cannot be read.
    """
    rows, people = [], []
    for face in faces:
        if eye_distance(face.points, scheme) > 0 and asymmetry(face.points, scheme) < _FRONTAL:
            row = _axis(face, scheme)
            if row is not None:
                rows.append(row)
                people.append(face.identity)
    if len(rows) < _FEWEST:
        return None
    seen, whose = np.array(rows), np.unique(people, return_inverse=True)[1]
    draws, rng = [], np.random.default_rng(0)
    for _ in range(_DRAWS):
        drawn = rng.integers(0, whose.max() + 1, whose.max() + 1)
        draws.append(_fit(np.concatenate([seen[whose == person] for person in drawn])))
    (x, y), (x_deviation, y_deviation) = _fit(seen).tolist(), np.std(draws, axis=0).tolist()
    return MirrorShift((x, y), (x_deviation, y_deviation), len(seen))


def _fit(seen: Floats) -> Floats:
    """The shift (x, y) whose part across the axes explains how far labels lie beside them: rows of `_axis`."""
    beside, across = seen[:, 0], seen[:, 1:]
    fit = least_squares(lambda shift: (across @ shift - beside) / _SCATTER, (0.0, 0.0), loss="soft_l1")
    return np.asarray(fit.x, np.float64)


def _axis(face: Face, scheme: Scheme) -> tuple[float, float, float] | None:
    """By how much the labels lie beside the mirror axis, over the eye distance, and across it (x, y), of length 1.

    Side light makes one half of a face brighter, so only edges across the axis are compared, of lids and brows.
    """
    left, right = face.points[list(scheme.eye_corners)].astype(np.float64)
    apart = float(np.linalg.norm(right - left))
    across = (right - left) / apart
    scale = _EYES / apart
    turn = scale * np.array([across, (-across[1], across[0])])
    middle = np.array([(_SIDE - 1) / 2, _HEIGHT / 2])
    matrix = np.column_stack([turn, middle - turn @ ((left + right) / 2)])
    grey = cv2.cvtColor(read_picture(face.picture), cv2.COLOR_RGB2GRAY)
    patch = cv2.warpAffine(grey, matrix, (_SIDE, _HEIGHT), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    edges = cv2.Sobel(cv2.GaussianBlur(patch.astype(np.float32), (0, 0), 2.0), cv2.CV_32F, 0, 1)
    mirrored = np.ascontiguousarray(edges[:, ::-1][:, _REACH:-_REACH])
    alike = cv2.matchTemplate(edges, mirrored, cv2.TM_CCOEFF_NORMED)[0]
    best = int(alike.argmax())
    if best in (0, len(alike) - 1) or alike[best] < _ALIKE:
        return None
    before, at, after = alike[best - 1 : best + 2].astype(np.float64)
    peak = best + 0.5 * (before - after) / (before - 2 * at + after)  # of the parabola through the three
    return float(_REACH - peak) / 2 / _EYES, float(across[0]), float(across[1])
