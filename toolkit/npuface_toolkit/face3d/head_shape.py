"""Procedural heads: surfaces and colours drawn from a few numbers, whose geometry is known exactly.

A head is a signed distance in the box [-1, 1]^3 of pose.py, made of ellipsoids that melt into each other (smooth
union: Quilez, "Smooth minimum", polynomial form). Its proportions stretch the x and y axes before that, so that the
places of landmarks are stretched with them.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Axes = tuple[Floats, Floats, Floats]

CHIN_FROM = -0.25
"""Height of the mouth, below which a long chin is stretched."""
EYE = (0.25, 0.165, 0.44)
"""Middle of the right half's eye before stretching."""
_WIDEST = 0.16
"""Most by which two standard deviations change a proportion."""


@dataclass(frozen=True)
class HeadShape:
    """One head: numbers drawn from N(0, 1), cut at two deviations.

    Attributes:
        width, height, depth: of the whole head.
        jaw: width of its lower half.
        chin: length below the mouth.
        nose, nose_width: how far the nose stands out, and how wide it is.
        brow: how far the brow stands out.
        cheeks: fullness.
        lips: fullness.
        eyes: size.
        hair: volume of the hair.
    """

    width: float = 0.0
    height: float = 0.0
    depth: float = 0.0
    jaw: float = 0.0
    chin: float = 0.0
    nose: float = 0.0
    nose_width: float = 0.0
    brow: float = 0.0
    cheeks: float = 0.0
    lips: float = 0.0
    eyes: float = 0.0
    hair: float = 0.0


def draw_shape(random: np.random.Generator) -> HeadShape:
    """A head's shape from a random generator."""
    return HeadShape(*random.standard_normal(len(fields(HeadShape))).clip(-2, 2).tolist())


def stretched(points: Floats, shape: HeadShape) -> Floats:
    """Places on the mean head [N, 3] -> the same places with this head's proportions."""
    x, y, z = points.T
    y = np.where(y < CHIN_FROM, CHIN_FROM + (y - CHIN_FROM) * _factor(shape.chin, 0.8), y)
    x = x * _across(y, shape)
    return np.stack([x, y * _factor(shape.height, 0.4), z * _factor(shape.depth, 0.5)], 1).astype(np.float32)


def unstretched(points: Floats, shape: HeadShape) -> Floats:
    """The inverse of `stretched`."""
    x, y, z = points.T
    y = y / np.float32(_factor(shape.height, 0.4))
    x = x / _across(y, shape)
    y = np.where(y < CHIN_FROM, CHIN_FROM + (y - CHIN_FROM) / _factor(shape.chin, 0.8), y)
    return np.stack([x, y, z / _factor(shape.depth, 0.5)], 1).astype(np.float32)


def distance(points: Floats, shape: HeadShape) -> Floats:
    """Signed distance of points [N, 3] to the head, negative inside [N]; stretching makes it right to some 20 %."""
    return _mean_distance(unstretched(points, shape), shape)


def inside_hair(points: Floats, shape: HeadShape) -> Floats:
    """How much of the surface at points [N, 3] is hair, 0..1 [N]."""
    x, y, z = unstretched(points, shape).T
    line = 0.56 + 0.06 * shape.hair - 0.35 * x**2 - 0.95 * np.maximum(0.30 - z, 0)
    return _step((y - line) / 0.04)


def _factor(number: float, share: float) -> np.float32:
    return np.float32(1 + 0.5 * _WIDEST * share * number)


def _across(y: Floats, shape: HeadShape) -> Floats:
    """Stretch of x at heights y: the whole head's, and the jaw's towards the chin."""
    lower = _step(-(y + 0.1) / 0.3)
    return (_factor(shape.width, 0.7) * (1 + np.float32(0.07 * shape.jaw) * lower)).astype(np.float32)


def _step(value: Floats) -> Floats:
    """Smooth step from 0 below -1 to 1 above 1."""
    t = np.clip(value * 0.5 + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _mean_distance(points: Floats, shape: HeadShape) -> Floats:
    x, y, z = (np.ascontiguousarray(axis) for axis in points.T)
    p = (np.abs(x), y, z)  # both halves are alike: features beside the middle are computed once
    hair = 0.03 * (1 + 0.5 * shape.hair)
    head = _ellipsoid(p, (0, 0.32, -0.13), (0.50 + hair, 0.58 + hair, 0.60 + hair))
    head = _union(head, _ellipsoid(p, (0, -0.08, 0.12), (0.435, 0.54, 0.40)), 0.10)
    head = _union(head, _ellipsoid(p, (0, -0.47, 0.26), (0.20, 0.17, 0.17)), 0.12)
    head = _union(head, _ellipsoid(p, (0, 0.27, 0.36), (0.36, 0.09, 0.12 + 0.015 * shape.brow)), 0.08)
    head = _union(head, _ellipsoid(p, (0.24, -0.12, 0.31), (0.15, 0.16, 0.14 + 0.02 * shape.cheeks)), 0.10)
    head = _union(head, _ellipsoid(p, (0, -0.75, -0.15), (0.30, 0.62, 0.32)), 0.08)
    eye = 0.105 * (1 + 0.06 * shape.eyes)
    head = -_union(-head, _ellipsoid(p, (EYE[0], EYE[1], 0.60), (0.15, 0.095, 0.13)), 0.06)
    head = np.minimum(head, _ellipsoid(p, EYE, (eye, eye * 0.85, 0.09)))
    out = 0.03 * shape.nose
    head = _union(head, _ellipsoid(p, (0, 0.05, 0.50), (0.055, 0.20, 0.08 + 0.6 * out)), 0.05)
    wide = 0.085 * (1 + 0.12 * shape.nose_width)
    head = _union(head, _ellipsoid(p, (0, -0.09, 0.54), (wide, 0.075, 0.12 + out)), 0.05)
    head = _union(head, _ellipsoid(p, (0.075, -0.115, 0.52), (wide * 0.6, 0.05, 0.07)), 0.03)
    full = 0.035 * (1 + 0.2 * shape.lips)
    head = _union(head, _ellipsoid(p, (0, -0.285, 0.46), (0.18, full, 0.08)), 0.03)
    head = _union(head, _ellipsoid(p, (0, -0.345, 0.45), (0.15, full, 0.08)), 0.03)
    return _union(head, _ellipsoid(p, (0.53, 0.08, -0.10), (0.05, 0.17, 0.09)), 0.03)


def _ellipsoid(points: Axes, centre: tuple[float, float, float], radii: tuple[float, float, float]) -> Floats:
    """Distance to an ellipsoid, to first order at its surface (Quilez, "Ellipsoid SDF")."""
    x, y, z = ((axis - c) * np.float32(1 / r) for axis, c, r in zip(points, centre, radii, strict=True))
    inner = np.sqrt(x * x + y * y + z * z)
    x, y, z = (axis * np.float32(1 / r) for axis, r in zip((x, y, z), radii, strict=True))
    slope = np.sqrt(x * x + y * y + z * z)
    return np.asarray(inner * (inner - 1) / np.maximum(slope, np.float32(1e-6)), np.float32)


def _union(one: Floats, other: Floats, blend: float) -> Floats:
    """Both, melting together where they are closer than `blend`."""
    near = np.maximum(blend - np.abs(one - other), 0) / np.float32(blend)
    return np.asarray(np.minimum(one, other) - near * near * np.float32(blend / 4), np.float32)
