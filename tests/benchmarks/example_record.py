"""A benchmark record with every kind of result in it, for tests of what is made from one."""

from __future__ import annotations

from typing import Any

from npuface_benchmarks.number_kinds import EMULATED, ESTIMATED, MEASURED, WHAT_NUMBERS_ARE
from npuface_benchmarks.record import (
    Accuracy,
    BundleResult,
    Estimate,
    Machine,
    Memory,
    Parity,
    PeerResult,
    Placement,
    Record,
    Shift,
    Spread,
    Timing,
    VariantTiming,
)


def times(network: float, transfer: float, decode: float) -> VariantTiming:
    def around(median: float) -> Spread:
        return Spread(median, median * 0.95, median * 1.05, median * 1.25, median * 1.5)

    stages = {"prepare": 1.25, "network": network, "transfer": transfer, "decode": decode, "map": 0.0125}
    return VariantTiming(
        {stage: around(median) for stage, median in stages.items()},
        around(transfer + decode + 0.0125),
        around(sum(stages.values())),
        around(sum(stages.values()) * 0.9),
    )


def timing(threads: int, network: float) -> Timing:
    coordinates, heatmaps = times(network + 0.5, 0.001, 0.03), times(network, 0.02, 0.28)
    return Timing(threads, coordinates, heatmaps, heatmaps.total.median_ms / coordinates.total.median_ms)


def result(label: str, target: str, **changes: Any) -> BundleResult:
    fields: dict[str, Any] = {
        "label": label,
        "name": "student-68",
        "target": target,
        "target_title": target,
        "kind": MEASURED,
        "engine": "ONNX Runtime 1.31.1, CPU",
        "precision": "int8",
        "decode": "relative-threshold",
        "decode_precision": "float32",
        "input_shape": (256, 256),
        "points": 68,
        "heatmap": (64, 64),
        "bytes_out": 1088,
        "heatmap_bytes": 278528,
        "heatmap_dtype": "uint8",
        "landmarks": ((100.5, 90.25), (140.0, 91.75)),
        "difference": {"mean_px": 0.125, "max_px": 0.5},
        "placement": Placement(0, 130, ("Conv", "Relu")),
        "parity": Parity(3.5e-5),
        "coordinate_shift": Shift(0.0625, 0.4375, 60),
        "estimate": None,
        "tools": {"npuface": "0.1.0", "onnxruntime": "1.31.1"},
        "timings": (timing(1, 31.5), timing(2, 17.5)),
        "memory": Memory(95.5, 41.25),
    }
    return BundleResult(**(fields | changes))


def npu_result(label: str, decode: str, decode_ms: float, **changes: Any) -> BundleResult:
    estimate = Estimate(ESTIMATED, 36.5 + decode_ms, 36.5, decode_ms, 19_000_000, 1_572_864, 1_048_576, 0)
    fields: dict[str, Any] = {
        "kind": EMULATED,
        "engine": "LiteRT 2.3.0 (ai-edge-litert), CPU",
        "decode": decode,
        "decode_precision": "int16",
        "bytes_out": 544,
        "heatmap_dtype": "int8",
        "placement": Placement(97, 0, ()),
        "estimate": estimate,
        "tools": {"vela": "5.2.0"},
        "timings": (),
        "memory": None,
    }
    return result(label, "ethos-u55-128", **(fields | changes))


def record(*results: BundleResult, peers: tuple[PeerResult, ...] = (), accuracy: Accuracy | None = None) -> Record:
    """A record of these results; without any, of two bundles for an NPU and two for a CPU."""
    return Record(
        created="2026-01-02T03:04:05+00:00",
        machine=Machine("Some CPU", 2, "Linux-6.1", "3.11.7", 0.25, {"npuface": "0.1.0", "numpy": "2.4.6"}),
        frame=(512, 512),
        box=(170.0, 60.0, 280.0, 190.0),
        capture=Spread(2.5, 2.25, 2.75, 3.0, 3.5),
        detection=Spread(24.5, 24.0, 25.5, 30.25, 31.0),
        runs=30,
        warmup=5,
        beta=20.0,
        threads=(1, 2),
        threads_refused=(64,),
        results=results
        or (
            npu_result("ethos-u55-128", "relative-threshold", 1.96),
            npu_result("published", "seed", 17.875, decode_precision="int8", bytes_out=136),
            result("onnxruntime-cpu", "onnxruntime-cpu"),
            result("openvino", "openvino-cpu", engine="OpenVINO 2026.4.1, CPU", heatmap_bytes=1114112),
        ),
        peers=peers,
        accuracy=accuracy,
        numbers=WHAT_NUMBERS_ARE,
        no_energy="there is no energy counter",
    )
