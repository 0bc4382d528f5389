"""Two benchmark records of the same things: what became slower, or less accurate, than it was."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from npuface_benchmarks.machine import describe_machine
from npuface_benchmarks.record import Accuracy, Machine, Record, Spread
from npuface_benchmarks.tables import Column, Group, Table, number
from npuface_runtime.errors import UserError

TIME_TOLERANCE = 0.10
"""A median may be so much longer, as a share of the earlier one, before it is a regression."""
_SHIFT_TOLERANCE = 0.02
"""Heatmap pixels by which the mean INT8 shift may grow."""
_NME_TOLERANCE = 0.02
"""Share of the earlier NME by which it may grow."""

WORSE, BETTER, SAME = "worse", "better", "same"


@dataclass(frozen=True)
class Change:
    """One figure then and now.

    Attributes:
        subject, figure: whose, and which.
        before, after: the figures.
        verdict: WORSE, BETTER or SAME.
    """

    subject: str
    figure: str
    before: float
    after: float
    verdict: str

    @property
    def ratio(self) -> float | None:
        """After over before; None where that is nothing."""
        return self.after / self.before if self.before else None


def compare(old: Record, new: Record, tolerance: float = TIME_TOLERANCE, other_machine: bool = False) -> list[Change]:
    """Every figure that both records have.

    A time is worse where its median grew by more than the tolerance and the quartiles of the two are apart: on a
    machine with other work to do, the one without the other is its mood. NME counts on the same faces alone (see
    why_no_nme).

    Args:
        tolerance: of times, as a share.
        other_machine: compare records of different machines all the same.

    Raises:
        UserError: the records are of different machines, or have nothing in common.
    """
    _check_same(new.machine, old.machine, other_machine)
    changes = [*_times(old, new, tolerance), *_shifts(old, new), *_accuracy(old, new)]
    if not changes:
        why = "no bundle, engine and number of threads is in both"
        raise UserError("cannot compare with the earlier record", why, "measure the same bundles")
    return changes


def why_no_nme(old: Record, new: Record) -> str | None:
    """Why the NME of two records does not compare, in a sentence; None where it does, or neither has any."""
    if old.accuracy is None and new.accuracy is None:
        return None
    before, now = _faces_of(old.accuracy), _faces_of(new.accuracy)
    return None if before == now else f"NME is not compared: it was measured on {before}, now on {now}"


def _faces_of(accuracy: Accuracy | None) -> str:
    """What an NME was measured on: another list is other faces, though there be as many."""
    if accuracy is None:
        return "no labelled faces"
    return f"{accuracy.faces} faces of {accuracy.data}, {accuracy.points} points"


def check_machine(old: Record, other_machine: bool) -> None:
    """Refuse, before anything is measured, a record that compare would refuse as that of another machine.

    Raises:
        UserError: it is of another machine than this.
    """
    _check_same(describe_machine(), old.machine, other_machine)


def _check_same(new: Machine, old: Machine, other_machine: bool) -> None:
    if (new.cpu, new.cores) != (old.cpu, old.cores) and not other_machine:
        why = f"it was measured on {old.cpu} with {old.cores} cores, this is {new.cpu} with {new.cores}"
        raise UserError("cannot compare with the earlier record", why, "measure both on one machine, or allow another")


def _timed(record: Record) -> dict[tuple[str, str], Spread]:
    """The total of everything that was timed, by subject and figure."""
    found = {}
    for result in record.results:
        for timing in result.timings:
            for way, times in (("coordinates", timing.coordinates), ("heatmaps", timing.heatmaps)):
                found[result.label, f"{way}, threads: {timing.threads}, ms"] = times.total
    for peer in record.peers:
        for its in peer.timings:
            found[peer.name, f"its own decode, threads: {its.threads}, ms"] = its.times.total
    return found


def _times(old: Record, new: Record, tolerance: float) -> Iterator[Change]:
    before, after = _timed(old), _timed(new)
    for key in before.keys() & after.keys():
        then, now = before[key], after[key]
        verdict = SAME
        if now.median_ms > then.median_ms * (1 + tolerance) and now.p25_ms > then.p75_ms:
            verdict = WORSE
        elif now.median_ms * (1 + tolerance) < then.median_ms and now.p75_ms < then.p25_ms:
            verdict = BETTER
        yield Change(*key, then.median_ms, now.median_ms, verdict)


def _shifts(old: Record, new: Record) -> Iterator[Change]:
    before, after = ({one.label: one.coordinate_shift for one in record.results} for record in (old, new))
    for label in before.keys() & after.keys():
        then, now = before[label], after[label]
        if then is not None and now is not None:
            yield _judged(label, "INT8 shift, mean px", then.mean_px, now.mean_px, _SHIFT_TOLERANCE)


def _accuracy(old: Record, new: Record) -> Iterator[Change]:
    if old.accuracy is None or new.accuracy is None or why_no_nme(old, new) is not None:
        return
    for label in old.accuracy.nme.keys() & new.accuracy.nme.keys():
        then, now = old.accuracy.nme[label], new.accuracy.nme[label]
        yield _judged(label, "NME", then, now, _NME_TOLERANCE * then)


def _judged(subject: str, figure: str, then: float, now: float, slack: float) -> Change:
    verdict = WORSE if now > then + slack else BETTER if now < then - slack else SAME
    return Change(subject, figure, then, now, verdict)


def comparison_table(changes: list[Change]) -> Table:
    """The changes, the worst first."""
    order = {WORSE: 0, BETTER: 1, SAME: 2}
    columns = (Column("What", False), Column("Figure", False), Column("Before"), Column("Now"), Column("Ratio"))
    groups = tuple(
        Group((one.subject, one.figure, number(one.before), number(one.after), number(one.ratio), one.verdict))
        for one in sorted(changes, key=lambda one: (order[one.verdict], one.subject, one.figure))
    )
    return Table("Against the earlier record", (*columns, Column("", False)), groups)
