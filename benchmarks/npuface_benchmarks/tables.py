"""The tables of a report, as text cells; HTML and Markdown both show these."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from npuface_benchmarks.number_kinds import EMULATED, STANDING_IN
from npuface_benchmarks.record import BundleResult, Estimate, Record, VariantTiming

NONE = "–"
"""What does not apply."""


@dataclass(frozen=True)
class Column:
    """A column's heading; figures stand to the right."""

    title: str
    is_figure: bool = True


@dataclass(frozen=True)
class Group:
    """Rows about one thing: the cells that they share, and the rest of each row."""

    shared: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...] = ((),)


@dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
        title: what it shows, with the kind of its numbers.
        columns: the headings, those of the shared cells first.
        groups: its rows.
    """

    title: str
    columns: tuple[Column, ...]
    groups: tuple[Group, ...]


_SUBJECT = (Column("Target", False), Column("Decode", False), Column("Precision", False))
_BYTES = (Column("Bytes out"), Column("Heatmap bytes"))
_SHIFT = Column("INT8 shift, mean / max px")


def npu_results(record: Record) -> list[BundleResult]:
    """The bundles for NPUs, which were not timed here."""
    return [result for result in record.results if result.kind == EMULATED]


def chief_result(record: Record) -> BundleResult:
    """The bundle that a report speaks of first: the first for an NPU, or else the first."""
    return (npu_results(record) or list(record.results))[0]


def answer_tables(record: Record) -> list[Table]:
    """What a benchmark has to say of bundles for NPUs, of those for other devices, and of those timed here."""
    tables = []
    if npus := npu_results(record):
        tables.append(_npu_table(npus))
    if others := [result for result in record.results if result.kind == STANDING_IN]:
        tables.append(_stand_in_table(others))
    if cpus := [result for result in record.results if result.timings]:
        tables.append(_cpu_table(cpus))
    return tables


def detail_tables(record: Record) -> list[Table]:
    """What stands behind the answer: the stages of what was timed here, and the bundles."""
    timed = [result for result in record.results if result.timings]
    return [*([_stage_table(timed)] if timed else []), _bundle_table(record)]


def _npu_table(results: Sequence[BundleResult]) -> Table:
    costs = (Column("Body, ms"), Column("Decode, ms"), Column("SRAM, KiB"), Column("Flash, KiB"))
    columns = (*_SUBJECT, Column("CPU operators", False), *_BYTES, *costs, _SHIFT)
    groups = []
    for result in results:
        cells = (*_subject(result), _cpu_operators(result), *_bytes(result), *_cost(result.estimate), _shift(result))
        groups.append(Group(cells))
    return Table("On the NPU: the vendor compiler's estimate, INT8 shift emulated", columns, tuple(groups))


def _stand_in_table(results: Sequence[BundleResult]) -> Table:
    """For another device than a CPU, without a compiler to estimate anything."""
    columns = (*_SUBJECT, Column("Ran here on", False), *_BYTES, _SHIFT)
    groups = tuple(Group((*_subject(one), one.engine, *_bytes(one), _shift(one))) for one in results)
    return Table("For another device: a CPU stands in, so nothing is timed; INT8 shift on the CPU", columns, groups)


def _cpu_table(results: Sequence[BundleResult]) -> Table:
    ways = (Column("Coordinates, ms"), Column("Heatmaps + CPU softargmax, ms"), Column("Ratio"))
    groups = []
    for result in results:
        rows = tuple(
            (
                str(timing.threads),
                number(timing.coordinates.total.median_ms),
                number(timing.heatmaps.total.median_ms),
                f"{timing.ratio:.2f}",
            )
            for timing in result.timings
        )
        groups.append(Group((*_subject(result), *_bytes(result), _shift(result)), rows))
    columns = (*_SUBJECT, *_BYTES, _SHIFT, Column("Threads"), *ways)
    return Table("On this machine's CPU: measured here, one face end to end, medians", columns, tuple(groups))


def _stage_table(results: Sequence[BundleResult]) -> Table:
    stages = results[0].timings[0].coordinates.stages
    columns = (
        Column("Target", False),
        Column("Threads"),
        Column("Out of the network", False),
        *(Column(stage) for stage in (*stages, "after network", "total")),
        Column("p99"),
        Column("CPU time"),
        Column("Energy, mJ"),
    )
    groups = []
    for result in results:
        for timing in result.timings:
            ways = (("coordinates", timing.coordinates), ("heatmaps", timing.heatmaps))
            rows = tuple((way, *_spreads(times)) for way, times in ways)
            groups.append(Group((subject_name(result), str(timing.threads)), rows))
    return Table("Stage by stage: measured here, median (p95), ms; p99 of the total", columns, tuple(groups))


def _bundle_table(record: Record) -> Table:
    columns = (
        Column("Bundle", False),
        Column("Network", False),
        Column("Ran here on", False),
        Column("Heatmaps", False),
        Column("Float parity, max px"),
        Column("To CPU softargmax, mean / max px"),
        Column("Memory, MiB (runtime alone)"),
    )
    groups = []
    for result in record.results:
        height, width = result.heatmap
        network = f"{result.name}, {result.points} points, {' × '.join(map(str, result.input_shape))}"
        maps = f"{result.points} × {height} × {width}, {result.heatmap_dtype}"
        parity = NONE if result.parity is None else f"{result.parity.max_abs:.1e}"
        difference = f"{result.difference['mean_px']:.3f} / {result.difference['max_px']:.3f}"
        groups.append(
            Group(
                (result.label, network, f"{result.engine} ({result.kind})", maps, parity, difference, _memory(result))
            )
        )
    return Table("The bundles, and how they agree", columns, tuple(groups))


def subject_name(result: BundleResult) -> str:
    """The bundle's label where it names the target, else the target and the label."""
    return result.label if result.target in result.label else f"{result.target} ({result.label})"


def number(value: float | None, sign: str = "-") -> str:
    """A figure with as many digits as it deserves; `sign="+"` shows a plus too."""
    return NONE if value is None else f"{value:{sign}.{2 if abs(value) >= 1 else 3}f}"


def _subject(result: BundleResult) -> tuple[str, str, str]:
    same = result.decode_precision in (None, result.precision)
    precision = result.precision if same else f"{result.precision}, decode {result.decode_precision}"
    return subject_name(result), result.decode, precision


def _bytes(result: BundleResult) -> tuple[str, str]:
    return f"{result.bytes_out:,}", f"{result.heatmap_bytes:,}"


def _cpu_operators(result: BundleResult) -> str:
    """How many operators the compiler left to the CPU, and which."""
    if result.placement is None:
        return NONE
    number_of, names = result.placement.cpu, ", ".join(result.placement.cpu_operators)
    return f"{number_of} ({names})" if names else str(number_of)


def _shift(result: BundleResult) -> str:
    """Mean and maximum coordinate shift of INT8 against float, in heatmap pixels."""
    shift = result.coordinate_shift
    return NONE if shift is None else f"{shift.mean_px:.3f} / {shift.max_px:.3f}"


def _memory(result: BundleResult) -> str:
    """Most memory of a process with the bundle, and with the runtime alone."""
    memory = result.memory
    return NONE if memory is None else f"{memory.peak_mib:.0f} ({memory.empty_mib:.0f})"


def _cost(estimate: Estimate | None) -> tuple[str, ...]:
    """Body and decode in milliseconds, SRAM and flash in KiB."""
    if estimate is None:
        return (NONE,) * 4
    times = number(estimate.body_ms), number(estimate.decode_ms, sign="+")
    return *times, _kibibytes(estimate.sram_bytes), _kibibytes(estimate.flash_bytes)


def _kibibytes(value: float | None) -> str:
    return NONE if value is None else f"{value / 1024:,.0f}"


def _spreads(times: VariantTiming) -> Iterator[str]:
    for spread in (*times.stages.values(), times.after_network, times.total):
        yield f"{number(spread.median_ms)} ({number(spread.p95_ms)})"
    yield number(times.total.p99_ms)
    yield number(times.cpu.median_ms)
    yield number(times.energy_mj)
