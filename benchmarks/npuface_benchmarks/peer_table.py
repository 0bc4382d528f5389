"""Bundles beside other people's networks: milliseconds, frames a second and NME, and what that comes to in words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from npuface_benchmarks.record import Record, VariantTiming
from npuface_benchmarks.tables import NONE, Column, Group, Table, number, subject_name


@dataclass(frozen=True)
class _Row:
    """One network at the fewest threads that were measured."""

    name: str
    engine: str
    times: VariantTiming
    nme: float | None


def _rows(record: Record) -> tuple[list[_Row], list[_Row]]:
    """Ours and theirs."""
    nme = record.accuracy.nme if record.accuracy else {}
    ours = [
        _Row(subject_name(one), one.engine, one.timings[0].coordinates, nme.get(one.label))
        for one in record.results
        if one.timings
    ]
    theirs = [_Row(peer.name, peer.engine, peer.timings[0].times, nme.get(peer.name)) for peer in record.peers]
    return ours, theirs


def peer_table(record: Record) -> Table | None:
    """None where nothing was measured beside bundles, and no labelled faces were given."""
    ours, theirs = _rows(record)
    if not theirs and record.accuracy is None:
        return None
    columns = (Column("Network", False), Column("Engine", False), Column("End to end, ms"), Column("p99, ms"))
    figures = (Column("Frames a second"), Column("CPU time, ms"), Column("NME"))
    groups = tuple(Group(tuple(_cells(row))) for row in (*ours, *theirs))
    faces = ""
    if record.accuracy:
        faces = f"; NME on {record.accuracy.faces} labelled faces, {record.accuracy.points} points"
    threads = record.threads[0]
    title = f"Beside other networks: measured here, {threads} thread{'s' if threads > 1 else ''}, one face{faces}"
    return Table(title, (*columns, *figures), groups)


def _cells(row: _Row) -> Iterator[str]:
    total = row.times.total
    yield from (row.name, row.engine, number(total.median_ms), number(total.p99_ms))
    yield f"{1000 / total.median_ms:.0f}"
    yield number(row.times.cpu.median_ms)
    yield NONE if row.nme is None else f"{row.nme:.2%}"


def verdicts(record: Record) -> list[str]:
    """A sentence for every peer: the fastest bundle against it, in time and in NME, whoever wins."""
    ours, theirs = _rows(record)
    if not ours:
        return []
    best = min(ours, key=lambda row: row.times.total.median_ms)
    return [_verdict(best, peer) for peer in theirs]


def _verdict(ours: _Row, theirs: _Row) -> str:
    fast, slow = ours.times.total.median_ms, theirs.times.total.median_ms
    pace = (
        f"{slow / fast:.2f} times as fast as" if fast <= slow else f"slower than ({fast / slow:.2f} times the time of)"
    )
    text = f"{ours.name} is {pace} {theirs.name}: {number(fast)} ms against {number(slow)} ms a face"
    if ours.nme is None or theirs.nme is None:
        return f"{text}. No labelled faces were given, so nothing is said of accuracy."
    than = "lower" if ours.nme < theirs.nme else "higher" if ours.nme > theirs.nme else "the same"
    return f"{text}, at {than} NME: {ours.nme:.2%} against {theirs.nme:.2%}."
