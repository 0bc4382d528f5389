"""Energy, where the processor counts it: RAPL, Intel's and AMD's counters, which Linux shows under /sys/class/powercap.
Source: https://docs.kernel.org/power/powercap/powercap.html
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

_ROOT = Path("/sys/class/powercap")


class EnergyMeter:
    """The counters of all processor packages, which include what everything else on them used.

    A counter of the whole platform (psys) stands beside them and has them in it, so it does not count.

    Attributes:
        reason: why there is nothing to read; None where there is.
    """

    def __init__(self, root: Path = _ROOT) -> None:
        self.reason: str | None = None
        self._counters: list[tuple[Path, int]] = []
        zones = sorted(root.glob("intel-rapl:*")) if root.is_dir() else []
        for zone in (zone for zone in zones if zone.name.count(":") == 1):  # parts of a package have two
            try:
                if (zone / "name").read_text().startswith("package-"):
                    int((zone / "energy_uj").read_text())
                    self._counters.append((zone / "energy_uj", int((zone / "max_energy_range_uj").read_text())))
            except (OSError, ValueError) as error:
                self.reason = f"{zone} cannot be read ({error})"
        if self._counters:
            self.reason = None
        elif self.reason is None:
            self.reason = f"there is no energy counter of a processor package under {root}"

    def millijoules(self, work: Callable[[], object], times: int) -> float | None:
        """Energy of one of so many runs of `work`; None where there is no counter."""
        if not self._counters:
            return None
        before = self._read()
        for _ in range(times):
            work()
        used = sum((after - b) % span for (_, span), b, after in zip(self._counters, before, self._read(), strict=True))
        return used / 1000 / times

    def _read(self) -> list[int]:
        return [int(counter.read_text()) for counter, _ in self._counters]
