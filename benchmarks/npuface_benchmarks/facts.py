"""The few figures that open a report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from npuface_benchmarks.number_kinds import ESTIMATED, MEASURED
from npuface_benchmarks.record import BundleResult, Record
from npuface_benchmarks.tables import chief_result, npu_results, number, subject_name


@dataclass(frozen=True)
class Fact:
    """A figure, what it says, and what kind of number it is."""

    value: str
    meaning: str
    kind: str


def opening_facts(record: Record) -> list[Fact]:
    """Bytes, placement, decode and shift of the first bundle for an NPU, or else of the first; and the CPUs' ratio."""
    chief, npus = chief_result(record), npu_results(record)
    on_npu = _placement(chief) + _decode(chief, npus[1:]) if npus else []
    return [_bytes(chief), *on_npu, *_shift(chief), *_ratio(record)]


def _bytes(result: BundleResult) -> Fact:
    less = f"{result.heatmap_bytes / result.bytes_out:,.0f}×"
    meaning = f"fewer bytes leave the network: {result.bytes_out:,} a face, its heatmaps are {result.heatmap_bytes:,}"
    return Fact(less, meaning, f"exact, {subject_name(result)}")


def _placement(result: BundleResult) -> list[Fact]:
    if result.placement is None:
        return []
    meaning = f"operators left to the CPU, {result.placement.npu} on the NPU"
    return [Fact(str(result.placement.cpu), meaning, f"{ESTIMATED}, {subject_name(result)}")]


def _decode(result: BundleResult, others: Sequence[BundleResult]) -> list[Fact]:
    """What the decode adds, and what it adds in another form on the same target."""
    estimate = result.estimate
    if estimate is None or estimate.decode_ms is None:
        return []
    meaning = f"for the decode on the NPU, over a network of {number(estimate.body_ms)} ms"
    for other in others:
        if other.target == result.target and other.estimate and other.estimate.decode_ms is not None:
            meaning += f"; {other.decode}: {number(other.estimate.decode_ms, sign='+')} ms"
    return [Fact(f"{number(estimate.decode_ms, sign='+')} ms", meaning, f"{ESTIMATED}, {subject_name(result)}")]


def _shift(result: BundleResult) -> list[Fact]:
    shift = result.coordinate_shift
    if shift is None:
        return []
    meaning = f"mean shift of a landmark by INT8, in heatmap pixels; {shift.max_px:.3f} at most"
    return [Fact(f"{shift.mean_px:.3f} px", meaning, f"on {shift.faces:.0f} faces, {subject_name(result)}")]


def _ratio(record: Record) -> list[Fact]:
    """How the two ways compare on the CPU engines, at the fewest threads."""
    ratios = sorted(result.timings[0].ratio for result in record.results if result.timings)
    if not ratios:
        return []
    low, high = f"{ratios[0]:.2f}", f"{ratios[-1]:.2f}"
    value = low if low == high else f"{low}–{high}"
    meaning = "the speed of heatmaps and softargmax in numpy, where a CPU runs the network"
    threads = record.threads[0]
    return [Fact(f"{value}×", meaning, f"{MEASURED}, {threads} thread{'s' if threads > 1 else ''}")]


def machine_facts(record: Record) -> dict[str, str]:
    """Where and how it was measured, in words."""
    machine = record.machine
    height, width = record.frame
    spreads = (record.capture, record.detection)
    capture, detection = (f"{number(spread.median_ms)} ms, p95 {number(spread.p95_ms)} ms" for spread in spreads)
    facts = {
        "CPU": f"{machine.cpu}, {machine.cores} cores",
        "System": f"{machine.os}, Python {machine.python}",
        "Versions": _versions(machine.versions),
        "Bundles made with": _versions({k: v for result in record.results for k, v in result.tools.items()}),
        "Load before the run": f"{machine.load:.2f} (0 is an idle machine)",
        "Runs": f"{record.runs} of each way after {record.warmup} untimed, taking turns",
        "CPU softargmax": f"numpy, float32, beta {record.beta:g}",
        "Picture": f"{width} x {height} pixels",
        "Taking the frame": f"{capture}: out of JPEG, as USB cameras send it; in no other figure",
        "Finding the face": f"{detection}; in no other figure",
        "Measured at": record.created,
    }
    if record.no_energy:
        facts["Energy"] = f"not measured: {record.no_energy}"
    if record.threads_refused:
        refused = ", ".join(map(str, record.threads_refused))
        facts["Threads left out"] = f"{refused}: more than the machine's cores"
    return facts


def _versions(versions: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {text}" for name, text in sorted(versions.items()))
