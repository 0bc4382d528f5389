"""Tracking for a long time: ids, memory, speed and accuracy over a film whose landmarks are known."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any

import numpy as np
import psutil
from numpy.typing import NDArray

from npuface_benchmarks.film import Points, Shot
from npuface_runtime.aligner import Face
from npuface_runtime.errors import UserError
from npuface_runtime.tracker import TrackedFace

Picture = NDArray[np.uint8]

MAX_GROWTH, MIN_SPEEDUP, MAX_NME_RATIO = 0.02, 3.0, 1.02
_NEAR = 0.4
"""A found face is an actor's where their middles are nearer than this share of the actor's face."""
_SAMPLE_EVERY = 50


@dataclass(frozen=True)
class Soak:
    """What a film showed.

    Attributes:
        frames, scenes: of the film; between two scenes is a cut.
        actors: faces that came into view whole, in however many frames.
        swapped: ids that two actors had. Must be 0.
        changes: how often an actor in view got another id.
        strangers: faces that were followed where no actor was whole in view; those that come or go are among them.
        tracked_share, detected_share: of the actors' appearances, how many were found; the second in the compared
            scenes alone, as are all of the following but memory.
        tracked_nme, detected_nme: mean error over the distance of the outer eye corners, of faces that both found.
        tracked_ms, detected_ms: processor time a frame.
        speedup: processor time of detecting every frame over that of tracking: the median of the scenes with a face.
        wall_speedup: the same by the clock on the wall.
        detector_runs: for the tracker, over the whole film.
        memory: resident MiB after a tenth to three tenths of the film, and in its last fifth; medians.
        growth: of the memory from the one to the other, as a share.
    """

    frames: int
    scenes: int
    actors: int
    swapped: int
    changes: int
    strangers: int
    tracked_share: float
    detected_share: float
    tracked_nme: float
    detected_nme: float
    tracked_ms: float
    detected_ms: float
    speedup: float
    wall_speedup: float
    detector_runs: int
    memory: tuple[float, float]
    growth: float

    def as_json(self) -> dict[str, Any]:
        """Plain data."""
        return asdict(self)

    def failures(self) -> list[str]:
        """Which promises were not kept, in words."""
        ratio = self.tracked_nme / self.detected_nme
        checks = {
            f"{self.swapped} ids went from one face to another": self.swapped > 0,
            f"memory grew by {self.growth:.1%}, over {MAX_GROWTH:.0%}": self.growth > MAX_GROWTH,
            f"tracking is {self.speedup:.2f} times as fast, under {MIN_SPEEDUP:g}": self.speedup < MIN_SPEEDUP,
            f"its NME is {ratio:.3f} times that of detecting, over {MAX_NME_RATIO:g}": ratio > MAX_NME_RATIO,
        }
        return [what for what, is_so in checks.items() if is_so]


@dataclass
class _Tally:
    """Sums over the frames of a scene. No list grows with the film, as its memory would be taken for the tracker's."""

    frames: int = 0
    cpu: float = 0.0
    wall: float = 0.0
    found: int = 0
    seen: int = 0


class _Way:
    """One way to find faces, and by scene what it took and found."""

    def __init__(self, find: Callable[[Picture], Sequence[Face]]) -> None:
        self._find = find
        self.scenes: dict[int, _Tally] = {}

    def run(self, shot: Shot) -> tuple[Sequence[Face], dict[int, int]]:
        """The faces of a frame, and which of them is which actor."""
        cpu, wall = time.process_time(), time.perf_counter()
        faces = self._find(shot.frame)
        tally = self.scenes.setdefault(shot.scene, _Tally())
        tally.cpu += time.process_time() - cpu
        tally.wall += time.perf_counter() - wall
        actors = who_is_who(faces, shot.faces)
        tally.frames += 1
        tally.found += len(actors)
        tally.seen += len(shot.faces)
        return faces, actors

    def share(self, scenes: Iterable[int]) -> float:
        """The share of the actors in view that were found, over some scenes."""
        tallies = [self.scenes[scene] for scene in scenes]
        return sum(tally.found for tally in tallies) / sum(tally.seen for tally in tallies)

    def milliseconds(self, scenes: Iterable[int]) -> float:
        """Mean processor time a frame, over some scenes."""
        tallies = [self.scenes[scene] for scene in scenes]
        return 1e3 * sum(tally.cpu for tally in tallies) / sum(tally.frames for tally in tallies)


class _Identities:
    """Who had which id."""

    def __init__(self) -> None:
        self.owners: dict[int, set[int]] = {}
        self.last: dict[int, int] = {}
        self.changes = self.strangers = 0

    def see(self, ids: Sequence[int], actors: Mapping[int, int]) -> None:
        """The ids of a frame's faces, and which of them is which actor."""
        self.strangers += len(ids) - len(actors)
        for actor, i in actors.items():
            self.changes += self.last.get(actor, ids[i]) != ids[i]
            self.last[actor] = ids[i]
            self.owners.setdefault(ids[i], set()).add(actor)

    @property
    def swapped(self) -> int:
        """Ids that more than one actor had."""
        return sum(len(actors) > 1 for actors in self.owners.values())


def soak(
    film: Iterable[Shot],
    track: Callable[[Picture], Sequence[TrackedFace]],
    detect: Callable[[Picture], Sequence[Face]],
    eye_corners: tuple[int, int],
    *,
    compare_every: int = 4,
    detector_runs: Callable[[], int] = lambda: 0,
    progress: Callable[[int], None] = lambda frames: None,
) -> Soak:
    """Track through a film, and in some scenes find the faces of each frame anew as well.

    There both ways take turns frame by frame, so that the machine's mood meets both alike.

    Args:
        film: see npuface_benchmarks.film.
        track, detect: such as FaceTracker.track and FaceAligner.align.
        eye_corners: indices of the landmarks whose distance the errors are measured by.
        compare_every: every so many scenes are compared, the first among them.
        detector_runs: how often the tracker's detector has run so far.
        progress: is told how many frames are done, now and then.

    Raises:
        UserError: the film is so short that nothing can be compared.
    """
    tracking, detecting, identities = _Way(track), _Way(detect), _Identities()
    errors, compared = np.zeros(2), 0
    memory: list[float] = []
    frames, actors = 0, set[int]()
    for frames, shot in enumerate(film, start=1):
        faces, who = tracking.run(shot)
        identities.see([face.id for face in faces if isinstance(face, TrackedFace)], who)
        actors |= shot.faces.keys()
        if shot.scene % compare_every == 0:
            anew, again = detecting.run(shot)
            for actor in who.keys() & again.keys():
                both = faces[who[actor]], anew[again[actor]]
                errors += [_error(face, shot.faces[actor], eye_corners) for face in both]
                compared += 1
        if frames % _SAMPLE_EVERY == 0:
            memory.append(psutil.Process().memory_info().rss / 2**20)
            progress(frames)
    if not compared or len(memory) < 5:
        raise UserError(
            f"cannot judge a film of {frames} frames",
            "it is too short, or no face was found both ways",
            f"give at least {10 * _SAMPLE_EVERY} frames, and portraits that the detector finds",
        )
    warm, end = median(memory[len(memory) // 10 : 3 * len(memory) // 10 + 1]), median(memory[-(len(memory) // 5) :])
    cpu, wall = np.median([_speedup(tracking, detecting, scene) for scene in _with_faces(detecting)], axis=0)
    return Soak(
        frames=frames,
        scenes=len(tracking.scenes),
        actors=len(actors),
        swapped=identities.swapped,
        changes=identities.changes,
        strangers=identities.strangers,
        tracked_share=tracking.share(detecting.scenes),
        detected_share=detecting.share(detecting.scenes),
        tracked_nme=float(errors[0]) / compared,
        detected_nme=float(errors[1]) / compared,
        tracked_ms=tracking.milliseconds(detecting.scenes),
        detected_ms=detecting.milliseconds(detecting.scenes),
        speedup=float(cpu),
        wall_speedup=float(wall),
        detector_runs=detector_runs(),
        memory=(warm, end),
        growth=end / warm - 1,
    )


def who_is_who(faces: Sequence[Face], actors: Mapping[int, Points]) -> dict[int, int]:
    """Which face is which actor: the nearest to it, if it is near, each once."""
    pairs = []
    for actor, points in actors.items():
        side = float(np.ptp(points, axis=0).max())
        for i, face in enumerate(faces):
            apart = float(np.linalg.norm(face.landmarks.mean(axis=0) - points.mean(axis=0))) / side
            if apart < _NEAR:
                pairs.append((apart, actor, i))
    found: dict[int, int] = {}
    for _, actor, i in sorted(pairs):
        if actor not in found and i not in found.values():
            found[actor] = i
    return found


def _error(face: Face, points: Points, eye_corners: tuple[int, int]) -> float:
    """Mean distance of a face's landmarks to the true points [K, 2], over that of the outer eye corners."""
    a, b = eye_corners
    return float(np.linalg.norm(face.landmarks - points, axis=1).mean() / np.linalg.norm(points[a] - points[b]))


def _with_faces(way: _Way) -> list[int]:
    return [scene for scene, tally in way.scenes.items() if tally.seen]


def _speedup(tracking: _Way, detecting: _Way, scene: int) -> tuple[float, float]:
    """Processor time and wall time of detecting every frame of a scene over those of tracking."""
    slow, fast = detecting.scenes[scene], tracking.scenes[scene]
    return slow.cpu / fast.cpu, slow.wall / fast.wall
