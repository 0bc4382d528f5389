"""Landmark schemes: how many points, which mirror each other, which draw the boundary curves.

Point orders: iBUG 300-W (68 points) and WFLW (98 points). Boundaries follow "Look at Boundary"
(Wu et al., CVPR 2018): 15 curves where the scheme has both edges of the brows, 13 where it has one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError


@dataclass(frozen=True)
class Scheme:
    """A landmark scheme.

    Attributes:
        name: short name, also stored in checkpoints and manifests.
        points: number of landmarks K.
        flip: permutation of length K; landmark i of a mirrored picture is landmark flip[i] of the original.
        boundaries: the boundary curves in drawing order, each a tuple of point indices.
        eye_corners: the two outer eye corners, whose distance normalises the NME.
        jaw: points on the face contour, often reported apart because data sets disagree on them.
    """

    name: str
    points: int
    flip: tuple[int, ...]
    boundaries: tuple[tuple[int, ...], ...]
    eye_corners: tuple[int, int]
    jaw: tuple[int, ...]


def _run(first: int, last: int) -> tuple[int, ...]:
    """Indices first..last, both included, in either direction."""
    step = 1 if last >= first else -1
    return tuple(range(first, last + step, step))


def _flip(points: int, pairs: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...]) -> tuple[int, ...]:
    permutation = list(range(points))
    for left, right in pairs:
        for a, b in zip(left, right, strict=True):
            permutation[a], permutation[b] = b, a
    return tuple(permutation)


IBUG_68 = Scheme(
    name="ibug-68",
    points=68,
    flip=_flip(
        68,
        (
            (_run(0, 7), _run(16, 9)),
            (_run(17, 21), _run(26, 22)),
            ((31, 32), (35, 34)),
            (_run(36, 41), (45, 44, 43, 42, 47, 46)),
            ((48, 49, 50, 59, 58), (54, 53, 52, 55, 56)),
            ((60, 61, 67), (64, 63, 65)),
        ),
    ),
    boundaries=(
        _run(0, 16),
        _run(17, 21),
        _run(22, 26),
        _run(27, 30),
        _run(31, 35),
        _run(36, 39),
        (39, 40, 41, 36),
        _run(42, 45),
        (45, 46, 47, 42),
        _run(48, 54),
        _run(60, 64),
        (64, 65, 66, 67, 60),
        (*_run(54, 59), 48),
    ),
    eye_corners=(36, 45),
    jaw=_run(0, 16),
)

WFLW_98 = Scheme(
    name="wflw-98",
    points=98,
    flip=_flip(
        98,
        (
            (_run(0, 15), _run(32, 17)),
            (_run(33, 37), _run(46, 42)),
            (_run(38, 41), _run(50, 47)),
            ((55, 56), (59, 58)),
            (_run(60, 67), (72, 71, 70, 69, 68, 75, 74, 73)),
            ((76, 77, 78, 87, 86), (82, 81, 80, 83, 84)),
            ((88, 89, 95), (92, 91, 93)),
            ((96,), (97,)),
        ),
    ),
    boundaries=(
        _run(0, 32),
        _run(33, 37),
        (*_run(38, 41), 33),
        _run(42, 46),
        (46, *_run(47, 50)),
        _run(51, 54),
        _run(55, 59),
        _run(60, 64),
        (64, 65, 66, 67, 60),
        _run(68, 72),
        (72, 73, 74, 75, 68),
        _run(76, 82),
        _run(88, 92),
        (92, 93, 94, 95, 88),
        (*_run(82, 87), 76),
    ),
    eye_corners=(60, 72),
    jaw=_run(0, 32),
)

SCHEMES: dict[str, Scheme] = {scheme.name: scheme for scheme in (IBUG_68, WFLW_98)}


def point_ranges(text: str) -> tuple[int, ...]:
    """`0-3, 7` -> (0, 1, 2, 3, 7).

    Raises:
        ValueError: a part is neither a point nor a range, or a range ends before it begins.
    """
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        if not first.isdecimal() or not (last or first).isdecimal():
            raise ValueError(f"{part.strip()!r} is no point and no range")
        if last and int(last) < int(first):
            raise ValueError(f"{part.strip()!r} ends before it begins")
        found += range(int(first), int(last or first) + 1)
    return tuple(found)


def scheme_by_name(name: str) -> Scheme:
    """The scheme of that name.

    Raises:
        UserError: no scheme has that name.
    """
    if name not in SCHEMES:
        raise UserError(
            f"unknown landmark scheme {name!r}", f"known schemes are {', '.join(SCHEMES)}", "name one of them"
        )
    return SCHEMES[name]


def scheme_by_points(points: int) -> Scheme:
    """The scheme with that many points.

    Raises:
        UserError: no scheme has that many points.
    """
    for scheme in SCHEMES.values():
        if scheme.points == points:
            return scheme
    counts = ", ".join(f"{scheme.points} ({scheme.name})" for scheme in SCHEMES.values())
    raise UserError(
        f"{points} landmarks a face", f"the known schemes have {counts}", "convert the points to one of these"
    )


def mirror_points(points: NDArray[np.floating], width: float, scheme: Scheme) -> NDArray[np.floating]:
    """Points [..., K, 2] (x right, y down, centres at integers) of a picture `width` px wide, after mirroring it."""
    mirrored = points[..., list(scheme.flip), :].copy()
    mirrored[..., 0] = width - 1 - mirrored[..., 0]
    return mirrored
