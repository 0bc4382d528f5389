"""What a benchmark found, as frozen data and as JSON."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from npuface_runtime.errors import UserError
from npuface_runtime.plain import build, parse_json

FORMAT = "npuface-benchmark"
VERSION = 5


@dataclass(frozen=True)
class Machine:
    """Where the measurement ran.

    Attributes:
        cpu: its model name.
        cores: that this process may use.
        os, python: name and version.
        load: processes that wanted to run, averaged over the minute before; far from 0, others were at work.
        versions: of what takes part in every measurement.
    """

    cpu: str
    cores: int
    os: str
    python: str
    load: float
    versions: Mapping[str, str]


@dataclass(frozen=True)
class Spread:
    """Median, quartiles (p25, p75), 95th and 99th percentile of many runs, in milliseconds."""

    median_ms: float
    p25_ms: float
    p75_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class VariantTiming:
    """One way to get landmarks, timed.

    Attributes:
        stages: by name, in order: prepare, network, transfer, decode, map.
        after_network: transfer, decode and map together, summed run by run.
        total: all stages together, summed run by run.
        cpu: time that all threads of the process took for it.
        energy_mj: of one run, by the processor's own counters, with all else that ran on it; None where it has none.
    """

    stages: Mapping[str, Spread]
    after_network: Spread
    total: Spread
    cpu: Spread
    energy_mj: float | None = None


@dataclass(frozen=True)
class Memory:
    """Most memory that a process held: with the bundle open and run, and before, with the runtime alone in it."""

    peak_mib: float
    empty_mib: float


@dataclass(frozen=True)
class Timing:
    """The two ways of one bundle at one number of threads.

    Attributes:
        threads: of the engine.
        coordinates: the bundle as it is.
        heatmaps: the same network ending at its heatmaps, and softargmax in numpy (see cpu_decode).
        ratio: median total of `heatmaps` over that of `coordinates`.
    """

    threads: int
    coordinates: VariantTiming
    heatmaps: VariantTiming
    ratio: float


@dataclass(frozen=True)
class Placement:
    """Operators of the model on the NPU and on the CPU, and the names of the latter."""

    npu: int
    cpu: int
    cpu_operators: tuple[str, ...]


@dataclass(frozen=True)
class Parity:
    """Largest difference of float coordinates to the torch network's, in heatmap pixels."""

    max_abs: float


@dataclass(frozen=True)
class Shift:
    """How far INT8 moves landmarks against float, in heatmap pixels, and on how many faces that was measured."""

    mean_px: float
    max_px: float
    faces: float


@dataclass(frozen=True)
class Estimate:
    """What the vendor's compiler says of one inference; `decode_ms` is the total less the body, and may be negative."""

    kind: str
    total_ms: float | None = None
    body_ms: float | None = None
    decode_ms: float | None = None
    cycles: int | None = None
    sram_bytes: int | None = None
    flash_bytes: int | None = None
    dram_bytes: int | None = None
    moved_bytes: int | None = None
    note: str | None = None


@dataclass(frozen=True)
class Figures:
    """What a bundle's manifest says of it; None where it says nothing."""

    placement: Placement | None
    parity: Parity | None
    coordinate_shift: Shift | None
    estimate: Estimate | None


@dataclass(frozen=True)
class BundleResult:
    """What was found of one bundle.

    Attributes:
        label: tells it from the other bundles: its folder's name, or as much of its path as that takes.
        name: of the network.
        target, target_title: what it was built for.
        kind: MEASURED where the engine is what the target runs. EMULATED where it stands in for an NPU and STANDING_IN
            where for another device, such as a GPU: then there is no timing.
        engine: what ran it here.
        precision: float32 or int8.
        decode: the form.
        decode_precision: of the decode by the recipe; None for float.
        input_shape: height and width of the network input in pixels.
        points: landmarks K.
        heatmap: height and width in cells.
        bytes_out, heatmap_bytes: what leaves the network for one face: as it is, and ending at its heatmaps.
        heatmap_dtype: of those heatmaps.
        landmarks: [K][2] in frame pixels.
        difference: {"mean_px", "max_px"}: between the landmarks of the two ways on this picture, in heatmap pixels.
        placement, parity, coordinate_shift, estimate: from the manifest.
        tools: versions of what made it.
        timings: by number of threads; empty where nothing was measured.
        memory: of a process of its own, one thread; None where nothing was measured, or the system does not tell.
    """

    label: str
    name: str
    target: str
    target_title: str
    kind: str
    engine: str
    precision: str
    decode: str
    decode_precision: str | None
    input_shape: tuple[int, ...]
    points: int
    heatmap: tuple[int, ...]
    bytes_out: int
    heatmap_bytes: int
    heatmap_dtype: str
    landmarks: tuple[tuple[float, ...], ...]
    difference: Mapping[str, float]
    placement: Placement | None
    parity: Parity | None
    coordinate_shift: Shift | None
    estimate: Estimate | None
    tools: Mapping[str, str]
    timings: tuple[Timing, ...]
    memory: Memory | None = None


@dataclass(frozen=True)
class PeerTiming:
    """Somebody else's network with its own decode, at one number of threads."""

    threads: int
    times: VariantTiming


@dataclass(frozen=True)
class PeerResult:
    """What was found of somebody else's network, run as its authors run it.

    Attributes:
        name: what it calls itself.
        engine: what ran it here.
        landmarks: [K][2] in frame pixels, those of its points that the scheme has.
        timings: by number of threads.
    """

    name: str
    engine: str
    landmarks: tuple[tuple[float, ...], ...]
    timings: tuple[PeerTiming, ...]


@dataclass(frozen=True)
class Accuracy:
    """NME of everything that was measured, on the same labelled faces.

    Attributes:
        data: the names of the faces' files.
        faces, points: how many, and how many of each count: those that all of them give.
        nme: by label of a bundle or name of a peer, as a fraction.
    """

    data: str
    faces: int
    points: int
    nme: Mapping[str, float]


@dataclass(frozen=True)
class Record:
    """One benchmark.

    Attributes:
        created: UTC, ISO 8601.
        machine: where it ran.
        frame: height and width of the picture.
        box: x0, y0, x1, y1 of the face in frame pixels, as the detector framed it.
        capture: time to unpack the frame from JPEG, as USB cameras send it; in no other figure.
        detection: time to find the face; in no other figure.
        runs, warmup: timed runs of each way, and untimed ones before them.
        beta: inverse temperature of the softargmax in numpy.
        threads: numbers of threads that were measured.
        threads_refused: those that were asked for and are more than the machine's cores.
        results: in the order in which the bundles were given.
        peers: other people's networks, on the same face in the same run.
        accuracy: on labelled faces; None where none were given.
        numbers: what kind of number each figure is.
        no_energy: why there is no energy; None where there is.
    """

    created: str
    machine: Machine
    frame: tuple[int, ...]
    box: tuple[float, ...]
    capture: Spread
    detection: Spread
    runs: int
    warmup: int
    beta: float
    threads: tuple[int, ...]
    threads_refused: tuple[int, ...]
    results: tuple[BundleResult, ...]
    peers: tuple[PeerResult, ...]
    accuracy: Accuracy | None
    numbers: Mapping[str, str]
    no_energy: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The record as plain data, with format and version."""
        return {"format": FORMAT, "version": VERSION} | asdict(self)

    def to_text(self) -> str:
        """The record as JSON text."""
        return json.dumps(self.as_json(), indent=2, allow_nan=False) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Record:
        """The record that `to_text` wrote.

        Raises:
            UserError: the text is no benchmark record, or one of another version.
        """
        try:
            raw = parse_json(text)
            if not isinstance(raw, dict) or raw.get("format") != FORMAT or raw.get("version") != VERSION:
                raise ValueError(f'it does not say "format": "{FORMAT}", "version": {VERSION}')
            body = {key: value for key, value in raw.items() if key not in ("format", "version")}
            return cast(Record, build(cls, body, "record"))
        except ValueError as error:
            raise UserError(
                "cannot read the benchmark record", str(error), "measure again with npuface bench"
            ) from None
