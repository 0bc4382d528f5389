"""Alternatives timed in turns, stage by stage."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple, TypeVar

import numpy as np

from npuface_benchmarks.energy import EnergyMeter
from npuface_benchmarks.record import Spread, VariantTiming
from npuface_runtime.errors import UserError

Laps = Mapping[str, int]
"""Nanoseconds of each stage of one run, in order."""

AFTER_NETWORK = ("transfer", "decode", "map")

_Name = TypeVar("_Name", bound=Hashable)


class Run(NamedTuple):
    """One timed run: its laps, and the nanoseconds that all threads of the process took for it."""

    laps: Laps
    cpu: int


class Stopwatch:
    """Times the stages of one run: every nanosecond from its making on belongs to the next lap."""

    def __init__(self, clock: Callable[[], int] = time.perf_counter_ns) -> None:
        self._clock = clock
        self._laps: dict[str, int] = {}
        self._since = clock()

    def lap(self, stage: str) -> None:
        """The stage of this name is over. A name may come once a run."""
        now = self._clock()
        if stage in self._laps:
            raise ValueError(f"the stage {stage!r} was timed already")
        self._laps[stage] = now - self._since
        self._since = now

    @property
    def laps(self) -> Laps:
        """What was timed."""
        return dict(self._laps)


def interleave(
    alternatives: Mapping[_Name, Callable[[Stopwatch], object]],
    runs: int,
    warmup: int,
    clock: Callable[[], int] = time.perf_counter_ns,
) -> dict[_Name, list[Run]]:
    """Run alternatives in turns (A B A B ...), so that a change of the machine's mood meets all of them.

    Args:
        alternatives: by name; each runs once and laps the stopwatch that it is given.
        runs: timed runs of each, at least 1.
        warmup: untimed runs of each before them, taken in turns too.
        clock: nanoseconds that never go back.

    Returns:
        Every timed run, by alternative.

    Raises:
        UserError: the numbers of runs are out of range.
    """
    if runs < 1 or warmup < 0:
        raise UserError(
            f"cannot measure {runs} runs after {warmup}", "there must be at least 1", "give for instance 30"
        )
    timed: dict[_Name, list[Run]] = {name: [] for name in alternatives}
    for turn in range(warmup + runs):
        for name, alternative in alternatives.items():
            before = time.process_time_ns()
            watch = Stopwatch(clock)
            alternative(watch)
            if turn >= warmup:
                timed[name].append(Run(watch.laps, time.process_time_ns() - before))
    return timed


@dataclass(frozen=True)
class Rounds:
    """How often everything is run: timed, untimed before that, and, where energy is counted, as often again for it."""

    runs: int
    warmup: int
    meter: EnergyMeter

    def measure(self, alternatives: Mapping[_Name, Callable[[Stopwatch], object]]) -> dict[_Name, VariantTiming]:
        """Times of all alternatives in turns, then the energy of each: a counter cannot tell turns apart."""
        timed = interleave(alternatives, self.runs, self.warmup)
        return {
            name: replace(summarise(timed[name]), energy_mj=self._energy(run)) for name, run in alternatives.items()
        }

    def _energy(self, run: Callable[[Stopwatch], object]) -> float | None:
        return self.meter.millijoules(lambda: run(Stopwatch()), self.runs)


def spread(nanoseconds: Sequence[int]) -> Spread:
    """Median, quartiles and percentiles (linear between ranks, as numpy's default), in milliseconds."""
    return Spread(*(float(v) for v in np.percentile(np.asarray(nanoseconds, np.float64) / 1e6, (50, 25, 75, 95, 99))))


def summarise(runs: Sequence[Run]) -> VariantTiming:
    """Many runs -> their spreads. Sums are taken run by run: medians do not add up."""
    return VariantTiming(
        stages={stage: spread([run.laps[stage] for run in runs]) for stage in runs[0].laps},
        after_network=spread([sum(run.laps.get(stage, 0) for stage in AFTER_NETWORK) for run in runs]),
        total=spread([sum(run.laps.values()) for run in runs]),
        cpu=spread([run.cpu for run in runs]),
    )


def ratio_of_medians(slower: VariantTiming, faster: VariantTiming) -> float:
    """Median total of the first over that of the second."""
    return slower.total.median_ms / faster.total.median_ms
