"""Pictures of procedural heads with what no photograph tells: pose, depth, silhouette, landmarks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from npuface_toolkit.face3d.head_shape import (
    EYE,
    Floats,
    HeadShape,
    distance,
    draw_shape,
    inside_hair,
    stretched,
    unstretched,
)
from npuface_toolkit.face3d.landmark_pose import JAW, mean_landmarks, project
from npuface_toolkit.face3d.pose import Pose, camera_to_world
from npuface_toolkit.face3d.rays import RayConfig, directions
from npuface_toolkit.schemes import scheme_by_name

_STEPS = 48
_RADIUS = 1.25
"""No part of a head is further from its middle."""
_CLOSE = 2e-3
_CAREFUL = 0.85
"""Share of the distance that a step goes: stretched distances are not exact."""


@dataclass(frozen=True)
class HeadLook:
    """Colours of a head, of its surroundings and of the light; all RGB in 0..1.

    Attributes:
        skin, hair, lips, iris, back, back_end: colours; the background runs from `back` at its top to `back_end`.
        light: direction towards the light, of unit length [3].
        ambient: share of light that comes from everywhere.
    """

    skin: Floats
    hair: Floats
    lips: Floats
    iris: Floats
    back: Floats
    back_end: Floats
    light: Floats
    ambient: float


@dataclass(frozen=True)
class HeadPicture:
    """One view of a head.

    Attributes:
        rgb: float32 [n, n, 3], 0..1.
        depth: distance from the camera along each pixel's ray [n, n]; 0 where the head is not.
        opacity: share of each pixel that the head covers [n, n].
        landmarks: the 68 points in pixels of the picture [68, 2], x right and y down, pixel centres at integers.
        pose: the camera's.
    """

    rgb: Floats
    depth: Floats
    opacity: Floats
    landmarks: NDArray[np.float64]
    pose: Pose


@dataclass(frozen=True)
class Head:
    """A head's shape and look."""

    shape: HeadShape
    look: HeadLook


def draw_head(random: np.random.Generator) -> Head:
    """A head from a random generator."""
    return Head(draw_shape(random), _draw_look(random))


def draw_pose(random: np.random.Generator, max_yaw: float = 45.0, max_pitch: float = 20.0) -> Pose:
    """A pose, even in both angles; no roll, as pictures are aligned by the eyes."""
    return Pose(float(random.uniform(-max_yaw, max_yaw)), float(random.uniform(-max_pitch, max_pitch)))


def picture_of(head: Head, pose: Pose, size: int, camera: RayConfig | None = None) -> HeadPicture:
    """A head as the model's camera sees it, by sphere tracing (Hart, 1996).

    Args:
        head: what to draw.
        pose: of the camera.
        size: side of the picture in pixels.
        camera: its distance and angle; those of a default RayConfig without it.
    """
    camera = camera or RayConfig()
    rotation = camera_to_world([pose])
    rays = directions(rotation, size, camera.tan_half)[0].T.contiguous().numpy()
    origin = (rotation[0, :, 2] * camera.distance).numpy()
    depth, nearest = _traced(head.shape, origin, rays, camera.distance)
    pixel = 2 * camera.tan_half * camera.distance / size
    opacity = np.clip(0.5 - nearest / pixel, 0, 1).astype(np.float32)
    seen = np.flatnonzero(opacity)
    rgb, cover = _background(head.look, size), opacity[seen, None]
    rgb[seen] += cover * (_shaded(head, origin + rays[seen] * depth[seen, None]) - rgb[seen])
    grid = (size, size)
    inside = opacity > 0.5
    places = project(head_landmarks(head.shape), pose, camera.distance, camera.tan_half)
    return HeadPicture(
        rgb.reshape(*grid, 3),
        np.where(inside, depth, 0).reshape(grid).astype(np.float32),
        opacity.reshape(grid),
        places * size - 0.5,
        pose,
    )


@lru_cache(maxsize=64)
def head_landmarks(shape: HeadShape) -> NDArray[np.float64]:
    """The 68 points on the surface of a head [68, 3]: the mean face's places, stretched and let down onto it.

    Points of the face fall along z from in front, those of the jaw towards the middle of the head.
    """
    places = stretched(mean_landmarks(scheme_by_name("ibug-68").flip).astype(np.float32), shape)
    ends = np.concatenate([places[:, :2], np.full((len(places), 1), -1.0, np.float32)], 1)
    ends[:JAW] = places[:JAW] * (0, 1, 0) + (0, 0, 0.05)
    starts = places + (places - ends) / np.linalg.norm(places - ends, axis=1, keepdims=True) * 0.6
    towards = (ends - starts) / np.linalg.norm(ends - starts, axis=1, keepdims=True)
    gone = np.zeros(len(places), np.float32)
    for _ in range(_STEPS):
        gone += _CAREFUL * distance((starts + towards * gone[:, None]).astype(np.float32), shape)
    return np.asarray(starts + towards * gone[:, None], np.float64)


def _traced(shape: HeadShape, origin: Floats, rays: Floats, away: float) -> tuple[Floats, Floats]:
    """Distance to the surface along each ray, and the least distance that a ray had to it (negative where it hits)."""
    depth = np.full(len(rays), away - 1.3, np.float32)
    nearest = np.full(len(rays), np.inf, np.float32)
    closest = depth.copy()
    beside = np.linalg.norm(np.cross(rays, origin), axis=1)  # least distance of the ray to the middle
    running = np.flatnonzero(beside < _RADIUS)
    for _ in range(_STEPS):
        there = bounded_distance((origin + rays[running] * depth[running, None]).astype(np.float32), shape)
        better = there < nearest[running]
        closest[running[better]], nearest[running[better]] = depth[running[better]], there[better]
        depth[running] += _CAREFUL * there
        running = running[(there > _CLOSE) & (depth[running] < away + 1.4)]
        if not len(running):
            break
    hit = nearest <= 2 * _CLOSE
    return np.where(hit, depth, closest), np.where(hit, -np.inf, nearest)


def bounded_distance(points: Floats, shape: HeadShape) -> Floats:
    """Signed distance to a head whose neck ends where the box does, at points [N, 3]."""
    return np.asarray(np.maximum(distance(points, shape), (np.abs(points) - np.float32(0.985)).max(1)), np.float32)


def _shaded(head: Head, points: Floats) -> Floats:
    """Lambert's law on the head's colours at points of its surface [N, 3] -> RGB [N, 3]."""
    corners = np.array([[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], np.float32)  # of a tetrahedron
    normal = np.zeros_like(points)
    for corner in corners:
        normal += corner * distance(points + corner * np.float32(3e-3), head.shape)[:, None]
    normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
    lit = head.look.ambient + (1 - head.look.ambient) * np.clip(normal @ head.look.light, 0, 1)
    return np.asarray(surface_colours(head, points) * lit[:, None], np.float32)


def surface_colours(head: Head, points: Floats) -> Floats:
    """Colours of the surface without light at points [N, 3] -> RGB [N, 3]."""
    look, place = head.look, unstretched(points.astype(np.float32), head.shape)
    x, y, z = np.abs(place[:, 0]), place[:, 1], place[:, 2]
    front = z > 0.2

    def paint(colour: Floats, over: Floats, share: Floats) -> Floats:
        return np.asarray(over + (colour - over) * share[:, None], np.float32)

    made = np.broadcast_to(look.skin, points.shape).astype(np.float32)
    made = paint(look.lips, made, front * _spot((x / 0.18) ** 2 + ((y + 0.315) / 0.062) ** 2))
    arch = y - (0.315 - 1.5 * (x - 0.24) ** 2)
    made = paint(look.hair, made, front * _spot((arch / 0.028) ** 2 + ((x - 0.24) / 0.14) ** 4))
    across, up = x - EYE[0], y - EYE[1]
    made = paint(_colour([0.93, 0.92, 0.90]), made, front * _spot((across / 0.095) ** 2 + (up / 0.048) ** 2))
    made = paint(look.iris, made, front * _spot((across / 0.040) ** 2 + (up / 0.040) ** 2))
    return paint(look.hair, made, inside_hair(points.astype(np.float32), head.shape))


def _colour(channels: list[float]) -> Floats:
    return np.array(channels, np.float32)


def _spot(radius: NDArray[np.floating]) -> Floats:
    """1 within an ellipse, 0 outside, with a soft edge; of the squared radius."""
    return np.asarray(np.clip((1.15 - radius) / 0.3, 0, 1), np.float32)


def _background(look: HeadLook, size: int) -> Floats:
    share = np.linspace(0, 1, size, dtype=np.float32).repeat(size)[:, None]
    return np.asarray(look.back + (look.back_end - look.back) * share, np.float32)


def _draw_look(random: np.random.Generator) -> HeadLook:
    tone = random.uniform(0.25, 1.0)
    skin = _colour([0.95, 0.78, 0.66]) * _colour([tone, tone**1.25, tone**1.5])
    hair = _colour([0.75, 0.58, 0.35]) * np.float32(random.uniform(0.08, 1.0)) + np.float32(random.uniform(0, 0.12))
    lips = skin * _colour([0.95, random.uniform(0.55, 0.8), random.uniform(0.6, 0.8)])
    iris = random.uniform([0.05, 0.08, 0.05], [0.35, 0.35, 0.5]).astype(np.float32)
    light = np.array([random.uniform(-0.8, 0.8), random.uniform(-0.2, 0.8), 1.0])
    back, end = random.uniform(0.1, 0.9, (2, 3)).astype(np.float32)
    unit = (light / np.linalg.norm(light)).astype(np.float32)
    return HeadLook(skin, hair, lips, iris, back, end, unit, float(random.uniform(0.35, 0.7)))
