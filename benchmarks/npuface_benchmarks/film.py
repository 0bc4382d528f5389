"""A film made of still portraits: every frame comes with the landmarks that are in it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.uint8]
Points = NDArray[np.float32]

FRAME_RATE = 30.0
SIZES = ((640, 480), (480, 640), (960, 720), (320, 240))
"""Width and height of a scene's frames."""
CROWDS = (1, 2, 0, 1, 3)
"""How many faces the scenes show, over and over."""
_SCENE = (60, 150)
"""Shortest and longest scene in frames."""
_MOVE = 25
"""Frames that a face takes to come in or to go."""
_NOISE = 3.0
"""Standard deviation of the camera's noise in grey levels."""
_NOISE_ROOM = 64


@dataclass(frozen=True, eq=False)
class Portrait:
    """A picture RGB [H, W, 3] of one face with its landmarks [K, 2]."""

    picture: Picture
    points: Points


@dataclass(frozen=True, eq=False)
class Shot:
    """A frame of a film.

    Attributes:
        scene: index of the scene; between two scenes is a cut.
        frame: RGB uint8 [H, W, 3].
        faces: landmarks [K, 2] in frame pixels by actor; a number is given to one actor in one scene alone.
    """

    scene: int
    frame: Picture
    faces: dict[int, Points]


@dataclass(frozen=True, eq=False)
class _Actor:
    """A portrait on its way: it sways, nears, leans, and may come late or leave early. Lengths are in pixels."""

    number: int
    portrait: Portrait
    centre: NDArray[np.float64]
    sway: NDArray[np.float64]
    side: float
    lean: float
    rate: NDArray[np.float64]
    phase: NDArray[np.float64]
    comes: int
    goes: int
    height: int

    def placement(self, frame: int) -> NDArray[np.float64]:
        """The map [2, 3] from the portrait to the frame of that index."""
        turns = np.sin(2 * np.pi * self.rate * frame / FRAME_RATE + self.phase)
        away = max(0.0, (self.comes + _MOVE - frame) / _MOVE, (frame - self.goes + _MOVE) / _MOVE)
        x, y = self.centre + self.sway * turns[:2] + (0, away * 1.2 * self.height)
        points = self.portrait.points
        low, high = points.min(axis=0), points.max(axis=0)
        scale = self.side * (1 + 0.15 * turns[2]) / (high - low).max()
        c, s = scale * np.cos(self.lean * turns[3]), scale * np.sin(self.lean * turns[3])
        turn = np.array([[c, -s], [s, c]])
        return np.column_stack([turn, np.array([x, y]) - turn @ ((low + high) / 2)])


def film(portraits: Sequence[Portrait], frames: int, seed: int = 0) -> Iterator[Shot]:
    """A film of that many frames: scenes of several sizes with cuts between them, with no face, one, or several.

    Faces come and go, move, near and lean; their ways do not cross. The same arguments give the same film.
    """
    rng = np.random.default_rng(seed)
    scene = shown = cast = 0
    while shown < frames:
        length = min(int(rng.integers(*_SCENE)), frames - shown)
        size = SIZES[int(rng.integers(len(SIZES)))]
        crowd = min(CROWDS[scene % len(CROWDS)], max(1, size[0] // 200))
        actors = [_actor(rng, portraits, cast + i, i, crowd, size, length) for i in range(crowd)]
        cast += crowd
        backdrop = _backdrop(rng, size)
        for index in range(length):
            yield _shoot(rng, scene, index, backdrop, actors)
        scene, shown = scene + 1, shown + length


def _actor(
    rng: np.random.Generator,
    portraits: Sequence[Portrait],
    number: int,
    place: int,
    crowd: int,
    size: tuple[int, int],
    length: int,
) -> _Actor:
    """An actor with a stripe of the frame to itself. The second of a scene comes late, the third leaves early."""
    width, height = size
    stripe = width / crowd
    side = float(rng.uniform(0.3, 0.42)) * min(stripe, height)
    return _Actor(
        number=number,
        portrait=portraits[int(rng.integers(len(portraits)))],
        centre=np.array([(place + 0.5) * stripe, height / 2]),
        sway=np.array([0.14 * stripe, 0.1 * height]) * rng.uniform(0.3, 1, 2),
        side=side,
        lean=float(rng.uniform(0, np.deg2rad(25))),
        rate=rng.uniform(0.1, 0.5, 4),
        phase=rng.uniform(0, 2 * np.pi, 4),
        comes=length // 4 if place == 1 else -_MOVE,
        goes=length * 3 // 4 if place == 2 else length + _MOVE,
        height=height,
    )


def _backdrop(rng: np.random.Generator, size: tuple[int, int]) -> Picture:
    """A blurred wall of coloured patches: no face in it, and no two alike."""
    patches = rng.integers(20, 230, (9, 12, 3)).astype(np.uint8)
    return np.asarray(cv2.resize(patches, size, interpolation=cv2.INTER_CUBIC), np.uint8)


def _shoot(rng: np.random.Generator, scene: int, index: int, backdrop: Picture, actors: Sequence[_Actor]) -> Shot:
    height, width = backdrop.shape[:2]
    frame, faces = backdrop.copy(), {}
    for actor in actors:
        placement = actor.placement(index)
        picture = actor.portrait.picture
        cv2.warpAffine(
            picture, placement, (width, height), dst=frame, flags=cv2.INTER_AREA, borderMode=cv2.BORDER_TRANSPARENT
        )
        points = (actor.portrait.points @ placement[:, :2].T + placement[:, 2]).astype(np.float32)
        if (points > -0.5).all() and (points < (width - 0.5, height - 0.5)).all():
            faces[actor.number] = points
    top, left = rng.integers(0, _NOISE_ROOM, 2)
    noise = _noise()[top : top + height, left : left + width]
    light = 1 + 0.1 * np.sin(2 * np.pi * 0.3 * index / FRAME_RATE)
    return Shot(scene, cv2.add(cv2.convertScaleAbs(frame, alpha=light), noise, dtype=cv2.CV_8U), faces)


@cache
def _noise() -> NDArray[np.int16]:
    """The camera's noise, larger than every frame: each frame takes another part of it."""
    longest = max(max(size) for size in SIZES) + _NOISE_ROOM
    return np.rint(np.random.default_rng(0).normal(0, _NOISE, (longest, longest, 3))).astype(np.int16)
