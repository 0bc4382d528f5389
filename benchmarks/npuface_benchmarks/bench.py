"""Measures bundles: coordinates leaving the network against heatmaps and softargmax on the CPU."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from npuface_benchmarks.candidate import Candidate, load_candidates
from npuface_benchmarks.energy import EnergyMeter
from npuface_benchmarks.machine import describe_machine, usable_cores
from npuface_benchmarks.memory import memory_of
from npuface_benchmarks.number_kinds import EMULATED, MEASURED, STANDING_IN, WHAT_NUMBERS_ARE
from npuface_benchmarks.peer_timing import OpenPeer, PeerNetwork, peer_variant
from npuface_benchmarks.record import BundleResult, PeerResult, PeerTiming, Record, Spread, Timing
from npuface_benchmarks.timing import Rounds, Stopwatch, interleave, ratio_of_medians, spread
from npuface_benchmarks.variants import Points, Variant, coordinates_variant, heatmaps_variant
from npuface_export.converters import ModelFiles
from npuface_export.target import Target
from npuface_runtime.bundle import open_bundle
from npuface_runtime.detectors import open_detector
from npuface_runtime.detectors.detector import Box
from npuface_runtime.engines import Session, open_session
from npuface_runtime.errors import UserError
from npuface_runtime.frames import as_rgb
from npuface_runtime.geometry import Crop, crop_of_box
from npuface_runtime.manifest import TensorInfo

_LOG = logging.getLogger("npuface.bench")
_PEER_ENGINE = "onnxruntime"


@dataclass(frozen=True, eq=False)
class _Scene:
    """A face in an RGB frame: its box as the detector framed it, the box around its landmarks, the time to find it, and
    that to unpack the frame.
    """

    frame: NDArray[np.uint8]
    box: Box
    landmark_box: Box
    detection: Spread
    capture: Spread


@dataclass(frozen=True, eq=False)
class _Subject:
    """A bundle, its network cut at the heatmaps, and the face that it is shown."""

    candidate: Candidate
    cut: ModelFiles
    scene: _Scene
    crop: Crop
    beta: float

    def open(self, threads: int, stack: ExitStack) -> tuple[Session, Variant, Variant]:
        """The bundle's session and its two ways to landmarks: coordinates, heatmaps. `stack` closes what is open."""
        manifest, session = open_bundle(self.candidate.folder, threads)
        stack.enter_context(session)
        heatmaps = self.cut.outputs[0]
        shortened = stack.enter_context(open_session(manifest.engine, self.cut.files, threads, [heatmaps.name]))
        frame, crop = self.scene.frame, self.crop
        return (
            session,
            coordinates_variant(manifest, session, frame, crop),
            heatmaps_variant(manifest, heatmaps, shortened, frame, crop, self.beta),
        )


def bench(
    bundles: Sequence[str | Path],
    *,
    picture: ArrayLike,
    threads: Sequence[int] = (1, 2),
    runs: int = 30,
    warmup: int = 5,
    beta: float = 20.0,
    detector: str | Path = "cascade",
    peers: Sequence[OpenPeer] = (),
) -> Record:
    """Measure bundles on the surest face of a picture.

    A bundle whose engine is what its target runs is timed both ways, and all that share an engine take turns in
    one run. On a bundle for an NPU or another device the engine stands in for it: it gives landmarks, its time is no
    latency and is not taken, and what a vendor's compiler estimated stands in the record.

    Args:
        bundles: folders made by npuface export, quantize or compile.
        picture: a frame, see npuface_runtime.frames.as_rgb.
        threads: of the engine; more than the machine's cores are left out, and the record says so.
        runs, warmup: timed runs of each way, and untimed ones before them.
        beta: inverse temperature of the softargmax in numpy.
        detector: see npuface_runtime.detectors.open_detector.
        peers: other people's networks, which take turns with the bundles of ONNX Runtime.

    Raises:
        UserError: a bundle, the picture or an option cannot be used, no face is found, or all numbers of
            threads are above the machine's cores.
    """
    usable, refused = _split_threads(threads, usable_cores())
    candidates = load_candidates(bundles)
    machine = describe_machine()
    scene = _find_face(as_rgb(picture), detector, runs, warmup)
    with TemporaryDirectory(prefix="npuface-bench-") as scratch:
        subjects = [_cut(c, Path(scratch) / str(i), scene, beta) for i, c in enumerate(candidates)]
        timed = [s for s in subjects if s.candidate.target.runs_on_host]
        meter = EnergyMeter()
        timings, peer_timings = _time_all(timed, peers, scene, usable, Rounds(runs, warmup, meter))
        results = [_result(subject, timings.get(subject.candidate.label, ())) for subject in subjects]
    return Record(
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=machine,
        frame=scene.frame.shape[:2],
        box=scene.box,
        capture=scene.capture,
        detection=scene.detection,
        runs=runs,
        warmup=warmup,
        beta=beta,
        threads=usable,
        threads_refused=refused,
        results=tuple(results),
        peers=tuple(_peer_result(open_peer(1), scene, peer_timings) for open_peer in peers),
        accuracy=None,
        numbers=WHAT_NUMBERS_ARE,
        no_energy=meter.reason,
    )


def _split_threads(threads: Sequence[int], cores: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Numbers of threads that this machine has cores for, and those above."""
    wanted = sorted(set(threads))
    usable = tuple(n for n in wanted if n <= cores)
    if not usable or usable[0] < 1:
        raise UserError(
            f"cannot measure {', '.join(map(str, wanted)) or 'no'} threads",
            f"this machine has {cores} cores",
            f"give numbers from 1 to {cores}",
        )
    return usable, tuple(n for n in wanted if n > cores)


def _find_face(frame: NDArray[np.uint8], detector: str | Path, runs: int, warmup: int) -> _Scene:
    finder, sent = open_detector(detector), _as_sent(frame)

    def detect(watch: Stopwatch) -> None:
        finder.detect(frame)
        watch.lap("detect")

    def capture(watch: Stopwatch) -> None:
        cv2.imdecode(sent, cv2.IMREAD_COLOR_RGB)
        watch.lap("capture")

    try:
        found = finder.detect(frame)
        if not found:
            raise UserError(
                "cannot measure on this picture", f"the detector {detector} finds no face in it", "give one with a face"
            )
        timed = interleave({"detect": detect, "capture": capture}, runs, warmup)
        detection, taking = (spread([run.laps[way] for run in timed[way]]) for way in ("detect", "capture"))
        box = found[0].box
        return _Scene(frame, box, finder.to_landmark_box(box), detection, taking)
    finally:
        finder.close()


def _as_sent(frame: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A frame as a camera sends it: JPEG."""
    packed, sent = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR))
    if not packed:
        raise UserError("cannot measure on this picture", "it is too large for JPEG", "give a smaller one")
    return np.asarray(sent, np.uint8)


def _cut(candidate: Candidate, folder: Path, scene: _Scene, beta: float) -> _Subject:
    _LOG.info("cutting %s at its heatmaps", candidate.label)
    folder.mkdir()
    crop = crop_of_box(scene.landmark_box, candidate.manifest.preprocess.margin)
    return _Subject(candidate, candidate.cut(folder), scene, crop, beta)


_Timings = tuple[dict[str, tuple[Timing, ...]], dict[str, tuple[PeerTiming, ...]]]
"""Of bundles by label, and of peers by name."""


def _time_all(
    subjects: Sequence[_Subject],
    peers: Sequence[OpenPeer],
    scene: _Scene,
    threads: Sequence[int],
    rounds: Rounds,
) -> _Timings:
    """Everything of one engine takes turns in one run; peers are of ONNX Runtime."""
    timings: dict[str, tuple[Timing, ...]] = {subject.candidate.label: () for subject in subjects}
    peer_timings: dict[str, tuple[PeerTiming, ...]] = {}
    engines = dict.fromkeys(subject.candidate.manifest.engine for subject in subjects)
    if peers:
        engines.setdefault(_PEER_ENGINE)
    for number in threads:
        for engine in engines:
            _LOG.info("timing %s, threads: %d", engine, number)
            group = [subject for subject in subjects if subject.candidate.manifest.engine == engine]
            beside = [open_peer(number) for open_peer in peers] if engine == _PEER_ENGINE else []
            ours, theirs = _time_group(group, beside, scene, number, rounds)
            for label, timing in ours.items():
                timings[label] += (timing,)
            for name, its in theirs.items():
                peer_timings[name] = (*peer_timings.get(name, ()), its)
    return timings, peer_timings


def _time_group(
    subjects: Sequence[_Subject], peers: Sequence[PeerNetwork], scene: _Scene, threads: int, rounds: Rounds
) -> tuple[dict[str, Timing], dict[str, PeerTiming]]:
    with ExitStack() as stack:
        ways: dict[tuple[str, str], Variant] = {}
        for subject in subjects:
            label = subject.candidate.label
            _, ways[label, "coordinates"], ways[label, "heatmaps"] = subject.open(threads, stack)
        for peer in peers:
            ways[peer.name, "peer"] = peer_variant(peer, scene.frame, scene.landmark_box)
        timed = rounds.measure(ways)
    timings = {}
    for subject in subjects:
        label = subject.candidate.label
        coordinates, heatmaps = (timed[label, way] for way in ("coordinates", "heatmaps"))
        timings[label] = Timing(threads, coordinates, heatmaps, ratio_of_medians(heatmaps, coordinates))
    return timings, {peer.name: PeerTiming(threads, timed[peer.name, "peer"]) for peer in peers}


def _peer_result(peer: PeerNetwork, scene: _Scene, timings: dict[str, tuple[PeerTiming, ...]]) -> PeerResult:
    landmarks = peer_variant(peer, scene.frame, scene.landmark_box)(Stopwatch())
    return PeerResult(peer.name, peer.engine, tuple((float(x), float(y)) for x, y in landmarks), timings[peer.name])


def _result(subject: _Subject, timings: tuple[Timing, ...]) -> BundleResult:
    candidate, heatmaps = subject.candidate, subject.cut.outputs
    manifest, target, figures = candidate.manifest, candidate.target, candidate.figures
    with ExitStack() as stack:
        session, *ways = subject.open(1, stack)
        coordinates, softargmax = (way(Stopwatch()) for way in ways)
        engine = session.description.rpartition(", threads")[0]
    return BundleResult(
        label=candidate.label,
        name=manifest.name,
        target=target.name,
        target_title=target.title,
        kind=_kind(target),
        engine=engine,
        precision=manifest.precision,
        decode=manifest.decode.form,
        decode_precision=None if manifest.recipe is None else str(manifest.recipe.get("decode")),
        input_shape=manifest.input_shape,
        points=manifest.landmarks.points,
        heatmap=candidate.heatmap[1:],
        bytes_out=_bytes(manifest.outputs),
        heatmap_bytes=_bytes(heatmaps),
        heatmap_dtype=heatmaps[0].dtype,
        landmarks=tuple((float(x), float(y)) for x, y in coordinates),
        difference=_difference(
            coordinates, softargmax, subject.crop.pixel(manifest.input_shape) * np.asarray(manifest.heatmap.scale)
        ),
        placement=figures.placement,
        parity=figures.parity,
        coordinate_shift=figures.coordinate_shift,
        estimate=figures.estimate,
        tools=manifest.tools,
        timings=timings,
        memory=memory_of(candidate.folder) if timings else None,
    )


def _kind(target: Target) -> str:
    """What landmarks and times are that the engine here gives for a target."""
    if target.runs_on_host:
        return MEASURED
    return EMULATED if target.is_npu else STANDING_IN


def _bytes(tensors: Sequence[TensorInfo]) -> int:
    return sum(math.prod(info.shape) * np.dtype(info.dtype).itemsize for info in tensors)


def _difference(a: Points, b: Points, pixels_per_cell: NDArray[np.float64]) -> dict[str, float]:
    """Distances between landmarks [K, 2] in the frame, in heatmap pixels."""
    distances = np.linalg.norm((a - b) / pixels_per_cell, axis=1)
    return {"mean_px": float(distances.mean()), "max_px": float(distances.max())}
