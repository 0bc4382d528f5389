"""What machine this is."""

from __future__ import annotations

import os
import platform
from importlib.metadata import version
from pathlib import Path

import psutil

from npuface_benchmarks.record import Machine

_PACKAGES = ("npuface", "numpy", "opencv-python-headless")
_CPU_INFO = Path("/proc/cpuinfo")


def describe_machine() -> Machine:
    """This machine, as a record keeps it."""
    return Machine(
        cpu=_cpu_name(),
        cores=usable_cores(),
        os=platform.platform(terse=True),
        python=platform.python_version(),
        load=round(psutil.getloadavg()[0], 2),
        versions={name: version(name) for name in _PACKAGES},
    )


def usable_cores() -> int:
    """Logical cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cpu_name() -> str:
    """The CPU's own name; Linux keeps it in a file, elsewhere `platform` knows it."""
    if _CPU_INFO.is_file():
        for line in _CPU_INFO.read_text(errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() in ("model name", "Model"):
                return value.strip()
    return platform.processor() or platform.machine()
