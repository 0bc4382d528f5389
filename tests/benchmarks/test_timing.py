from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npuface_benchmarks.timing import Run, Stopwatch, interleave, ratio_of_medians, spread, summarise
from npuface_runtime.errors import UserError


def ticking(*moments: int) -> Callable[[], int]:
    times: Iterator[int] = iter(moments)
    return lambda: next(times)


@given(st.lists(st.integers(0, 10**12), min_size=1, max_size=60))
def test_spread_is_numpys_median_and_percentile(nanoseconds: list[int]) -> None:
    found = spread(nanoseconds)
    ranked = np.sort(np.array(nanoseconds, np.float64)) / 1e6
    assert found.median_ms == pytest.approx(np.median(ranked))
    position = 0.95 * (len(ranked) - 1)
    low = int(position)
    high = min(low + 1, len(ranked) - 1)
    assert found.p95_ms == pytest.approx(ranked[low] + (position - low) * (ranked[high] - ranked[low]))
    assert found.p25_ms <= found.median_ms <= found.p75_ms <= found.p95_ms <= found.p99_ms <= ranked[-1] * (1 + 1e-9)


def test_a_lap_lasts_from_the_one_before() -> None:
    watch = Stopwatch(ticking(100, 130, 175))
    watch.lap("first")
    watch.lap("second")
    assert watch.laps == {"first": 30, "second": 45}


def test_a_stage_is_timed_once() -> None:
    watch = Stopwatch()
    watch.lap("only")
    with pytest.raises(ValueError, match="'only' was timed already"):
        watch.lap("only")


def test_alternatives_take_turns_and_warm_up_is_not_timed() -> None:
    order: list[str] = []
    clock = iter(range(0, 10_000, 7))

    def alternative(name: str) -> Callable[[Stopwatch], None]:
        def run(watch: Stopwatch) -> None:
            order.append(name)
            watch.lap(f"turn {order.count(name)}")

        return run

    laps = interleave({"a": alternative("a"), "b": alternative("b")}, runs=3, warmup=2, clock=lambda: next(clock))
    assert order == ["a", "b"] * 5
    for name in "ab":
        assert [list(run.laps) for run in laps[name]] == [["turn 3"], ["turn 4"], ["turn 5"]]
        assert [list(run.laps.values()) for run in laps[name]] == [[7]] * 3


@pytest.mark.parametrize(("runs", "warmup"), [(0, 1), (-1, 1), (1, -1)])
def test_runs_out_of_range_are_refused(runs: int, warmup: int) -> None:
    with pytest.raises(UserError, match="there must be at least 1"):
        interleave({"a": lambda watch: None}, runs, warmup)


def test_sums_are_taken_run_by_run() -> None:
    runs = [
        {"prepare": 1_000_000, "network": 9_000_000, "transfer": 0, "decode": 2_000_000, "map": 0},
        {"prepare": 1_000_000, "network": 2_000_000, "transfer": 0, "decode": 9_000_000, "map": 0},
        {"prepare": 1_000_000, "network": 3_000_000, "transfer": 0, "decode": 3_000_000, "map": 1_000_000},
    ]
    summary = summarise([Run(laps, 5_000_000) for laps in runs])
    assert list(summary.stages) == ["prepare", "network", "transfer", "decode", "map"]
    assert summary.stages["network"].median_ms == 3
    assert summary.after_network.median_ms == 4
    assert summary.cpu.median_ms == 5
    assert summary.total.median_ms == 12  # and not 1 + 3 + 0 + 3 + 0


def test_ratio_is_over_one_where_the_second_is_faster() -> None:
    slow, fast = (summarise([Run({"network": ns}, 0)]) for ns in (30_000_000, 20_000_000))
    assert ratio_of_medians(slow, fast) == pytest.approx(1.5)
