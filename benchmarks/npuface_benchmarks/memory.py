"""The memory that a bundle takes on this machine, in a process of its own that has nothing but the runtime in it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from npuface_benchmarks.record import Memory
from npuface_runtime.errors import UserError

PEAK = """
def peak():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM"))
"""
"""Python: the most memory that the process held so far, in MiB. What getrusage tells would be that of the process that
started this one, too: Linux keeps it through exec.
"""
_STATUS = Path("/proc/self/status")
_PROGRAM = (
    PEAK
    + """
import json, sys
import numpy
from npuface_runtime.bundle import open_bundle
empty = peak()
manifest, session = open_bundle(sys.argv[1], int(sys.argv[2]))
entering = numpy.zeros(manifest.input.shape, manifest.input.dtype)
for _ in range(3):
    session.run(entering)
print(json.dumps({"peak_mib": peak(), "empty_mib": empty}))
"""
)


def memory_of(bundle: Path, threads: int = 1) -> Memory | None:
    """Open a bundle and run it a few times; None where the system does not tell (it needs Linux's /proc).

    Raises:
        UserError: the bundle does not run.
    """
    if not _STATUS.is_file():
        return None
    command = [sys.executable, "-c", _PROGRAM, str(bundle), str(threads)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        why = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise UserError(f"cannot measure the memory of {bundle}", why, "check that the bundle runs: npuface run")
    return Memory(**json.loads(done.stdout.splitlines()[-1]))
