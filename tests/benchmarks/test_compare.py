"""Two records: a regression is one only where it is clear, and records that do not belong together are refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from example_record import npu_result, record, result, timing

from npuface_benchmarks.compare import BETTER, SAME, WORSE, compare, comparison_table, why_no_nme
from npuface_benchmarks.record import Accuracy, BundleResult, Record, Shift, Spread
from npuface_runtime.errors import UserError


def _with_total(median: float, quartile: float) -> Record:
    """A record with one bundle, its coordinates taking `median` ms, the quartiles `quartile` around it."""
    at = timing(1, 20.0)
    total = Spread(median, median - quartile, median + quartile, median * 1.3, median * 1.4)
    timings = (replace(at, coordinates=replace(at.coordinates, total=total)),)
    return record(result("cpu", "onnxruntime-cpu", timings=timings))


def _verdict(old: Record, new: Record, figure: str, tolerance: float = 0.1) -> str:
    (found,) = [change for change in compare(old, new, tolerance) if figure in change.figure]
    return found.verdict


@pytest.mark.parametrize(
    ("median", "quartile", "verdict"),
    [
        (20.0, 0.1, SAME),
        (21.9, 0.1, SAME),  # within the tolerance
        (23.0, 0.1, WORSE),
        (23.0, 4.0, SAME),  # the quartiles overlap: the machine's mood
        (17.0, 0.1, BETTER),
        (17.0, 4.0, SAME),
    ],
)
def test_a_time_is_worse_where_median_and_quartiles_say_so(median: float, quartile: float, verdict: str) -> None:
    assert _verdict(_with_total(20.0, 0.1), _with_total(median, quartile), "coordinates") == verdict


def test_the_tolerance_is_the_users() -> None:
    old, new = _with_total(20.0, 0.1), _with_total(23.0, 0.1)
    assert _verdict(old, new, "coordinates", 0.2) == SAME
    assert _verdict(old, _with_total(20.5, 0.1), "coordinates", 0.01) == WORSE


def test_shift_and_accuracy_are_compared() -> None:
    def one(shift: float, nme: float) -> Record:
        subject: BundleResult = npu_result("npu", "seed", 1.0, coordinate_shift=Shift(shift, 1.0, 60))
        return record(subject, accuracy=Accuracy("list.txt", 10, 68, {"npu": nme}))

    assert _verdict(one(0.04, 0.05), one(0.05, 0.05), "shift") == SAME
    assert _verdict(one(0.04, 0.05), one(0.09, 0.05), "shift") == WORSE
    assert _verdict(one(0.04, 0.05), one(0.04, 0.0505), "NME") == SAME
    assert _verdict(one(0.04, 0.05), one(0.04, 0.056), "NME") == WORSE
    assert _verdict(one(0.04, 0.05), one(0.04, 0.04), "NME") == BETTER


@pytest.mark.parametrize(
    ("measured", "now"),
    [
        (("list.txt", 11, 68), "11 faces of list.txt, 68 points"),
        (("list.txt", 10, 49), "10 faces of list.txt, 49 points"),
        (("other.txt", 10, 68), "10 faces of other.txt, 68 points"),
        (None, "no labelled faces"),
    ],
)
def test_accuracy_on_other_faces_is_not_compared_and_that_is_said(
    measured: tuple[str, int, int] | None, now: str
) -> None:
    nme = {"published": 0.05}
    old = record(accuracy=Accuracy("list.txt", 10, 68, nme))
    new = record(accuracy=Accuracy(*measured, nme) if measured else None)
    assert not [change for change in compare(old, new) if change.figure == "NME"]
    told = f"NME is not compared: it was measured on 10 faces of list.txt, 68 points, now on {now}"
    assert why_no_nme(old, new) == told
    assert why_no_nme(new, old) is not None


def test_nothing_is_said_where_accuracy_compares_or_there_is_none() -> None:
    one = record(accuracy=Accuracy("list.txt", 10, 68, {"published": 0.05}))
    assert why_no_nme(one, one) is why_no_nme(record(), record()) is None


def test_another_machine_is_refused_unless_allowed() -> None:
    old = record()
    new = replace(old, machine=replace(old.machine, cores=64))
    with pytest.raises(UserError, match="64") as refused:
        compare(old, new)
    assert "this is" in refused.value.why
    assert {change.verdict for change in compare(old, new, other_machine=True)} == {SAME}


def test_nothing_in_common_is_refused() -> None:
    with pytest.raises(UserError, match="no bundle, engine and number of threads is in both"):
        compare(record(result("a", "onnxruntime-cpu")), record(result("b", "onnxruntime-cpu")))


def test_the_worst_stands_first() -> None:
    changes = compare(_with_total(20.0, 0.1), _with_total(30.0, 0.1))
    table = comparison_table(changes)
    assert table.groups[0].shared[-1] == WORSE
    assert table.groups[0].shared[2:5] == ("20.00", "30.00", "1.50")
