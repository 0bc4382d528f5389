"""What a benchmark found, as frozen data and as JSON; and what kind of number each of its figures is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, cast

from npuface_runtime.errors import UserError
from npuface_runtime.plain import build, parse_json

FORMAT = "npuface-benchmark"
VERSION = 2

MEASURED = "measured here"
EMULATED = "emulated"
ESTIMATED = "compiler estimate"

WHAT_NUMBERS_ARE: Mapping[str, str] = {
    "milliseconds": f"{MEASURED}: wall-clock time of one face on this machine's CPU, median and 95th percentile. The "
    "two ways of every bundle, and all bundles of one engine, take turns in one run",
    "transfer": f"{MEASURED}: one copy of what leaves the network into the application's own memory. It stands for the "
    "way out of an NPU, whose cost depends on the device's memory",
    "ratio": f"{MEASURED}: median time with heatmaps and softargmax in numpy over median time with coordinates; over "
    "1 means that coordinates are faster",
    "bytes": "exact: what leaves the network for one face, by the model's own tensors",
    "NPU milliseconds": f"{ESTIMATED}: what the vendor's compiler says of one inference; no hardware ran. The decode "
    "is the whole network less the same network ending at its heatmaps, and may be negative where heatmaps that stay "
    "inside need not be written out",
    "CPU operators": f"{ESTIMATED}: the operators that the vendor's compiler left to the CPU",
    "NPU landmarks": f"{EMULATED}: an NPU's model runs on a CPU engine, which says where its landmarks lie and nothing "
    "about its speed",
    "coordinate shift": "measured when the bundle was quantized: how far INT8 moves the landmarks against float on "
    "real faces, in heatmap pixels; on an NPU's model it is emulated",
    "difference to CPU softargmax": f"{MEASURED}: how far apart the landmarks of the two ways lie on this one picture, "
    "in heatmap pixels. Decode forms weigh the cells of a map differently, and softargmax draws a landmark towards the "
    "middle of its map, the more the lower its beta times the map's peak",
    "parity": "measured when the bundle was exported: the largest difference of float coordinates to the torch "
    "network's, in heatmap pixels",
}
"""By the names of the report's columns; every record carries it along."""


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
    """Median and 95th percentile of many runs, in milliseconds."""

    median_ms: float
    p95_ms: float


@dataclass(frozen=True)
class VariantTiming:
    """One way to get landmarks, timed.

    Attributes:
        stages: by name, in order: prepare, network, transfer, decode, map.
        after_network: transfer, decode and map together, summed run by run.
        total: all stages together, summed run by run.
    """

    stages: Mapping[str, Spread]
    after_network: Spread
    total: Spread


@dataclass(frozen=True)
class Timing:
    """The two ways of one bundle at one number of threads.

    Attributes:
        threads: of the engine.
        coordinates: the bundle as it is.
        heatmaps: the same network ending at its heatmaps, and softargmax in numpy.
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
        kind: MEASURED where the engine is what the target runs; EMULATED where it stands in for an NPU, and
            then there is no timing.
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
        timings: by number of threads; empty where emulated.
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


@dataclass(frozen=True)
class Record:
    """One benchmark.

    Attributes:
        created: UTC, ISO 8601.
        machine: where it ran.
        frame: height and width of the picture.
        box: x0, y0, x1, y1 of the face in frame pixels, as the detector framed it.
        detection: time to find it; in no other figure.
        runs, warmup: timed runs of each way, and untimed ones before them.
        beta: inverse temperature of the softargmax in numpy.
        threads: numbers of threads that were measured.
        threads_refused: those that were asked for and are more than the machine's cores.
        results: in the order in which the bundles were given.
        numbers: what kind of number each figure is.
    """

    created: str
    machine: Machine
    frame: tuple[int, ...]
    box: tuple[float, ...]
    detection: Spread
    runs: int
    warmup: int
    beta: float
    threads: tuple[int, ...]
    threads_refused: tuple[int, ...]
    results: tuple[BundleResult, ...]
    numbers: Mapping[str, str]

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
