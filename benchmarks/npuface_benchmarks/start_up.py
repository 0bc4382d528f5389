"""What the runtime costs before its first frame: the wheel's size, its import, the first result, memory. One command:

    python -m npuface_benchmarks.start_up BUNDLE [--detector BUNDLE] [--runs 7] [--json]

It builds the wheel of the project that it is run in, installs it with the bundle's engine into an environment of its
own, as on a camera, and starts it there on one core, a new process each time.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import typer

from npuface_benchmarks.machine import describe_machine
from npuface_benchmarks.memory import PEAK
from npuface_runtime.errors import UserError, reason_of
from npuface_runtime.manifest import Manifest

_PROGRAM = """
import sys, time
began = time.perf_counter()
import npuface_runtime as npuface
imported = time.perf_counter() - began
import json
import numpy as np
frame = np.full((480, 640, 3), 90, np.uint8)
class WholeFrame:
    def detect(self, frame):
        return [npuface.Detection((80.0, 0.0, 559.0, 479.0), 1.0)]
    def to_landmark_box(self, box):
        return box
    def close(self):
        pass
detector = npuface.open_detector(sys.argv[2]) if len(sys.argv) > 2 else WholeFrame()
with npuface.FaceAligner(sys.argv[1], detector=detector) as aligner:
    aligner.align(frame)
    first = time.time()
    aligner.align(frame)
    next_frame = time.time() - first
print(json.dumps({"import_s": imported, "first": first, "next_s": next_frame, "peak_mib": peak()}))
"""


@dataclass(frozen=True)
class StartUp:
    """Medians over new processes, measured here on one core.

    Attributes:
        engine: of the bundle.
        wheel_bytes: of the whole wheel, the toolkit included.
        runtime_bytes: of the runtime's own files once installed.
        installed_bytes: of all in the environment's site-packages: the whole wheel, numpy, the engine and what they
            bring.
        import_s: of `import npuface_runtime`.
        first_result_s: from the start of the process to the landmarks of the first frame.
        next_s: of the second frame.
        peak_mib: most memory that the process held.
        runs: processes.
        machine: what it ran on.
    """

    engine: str
    wheel_bytes: int
    runtime_bytes: int
    installed_bytes: int
    import_s: float
    first_result_s: float
    next_s: float
    peak_mib: float
    runs: int
    machine: Mapping[str, Any]


def measure_start_up(bundle: Path, project: Path, detector: Path | None = None, runs: int = 7) -> StartUp:
    """Build, install, start.

    Args:
        bundle: of a landmark network.
        project: the folder with pyproject.toml and constraints.txt.
        detector: a detector's bundle for the same engine; the whole frame is taken for a face without it.
        runs: new processes; one more warms the disk's cache.

    Raises:
        UserError: the folder is no project, or a step fails, with what it printed last.
    """
    engine = Manifest.load(bundle).engine
    if not (project / "pyproject.toml").is_file():
        raise UserError(f"cannot build {project}", "it has no pyproject.toml", "run this in a clone of the project")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        _run([sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(work), str(project)])
        wheel = next(work.glob("npuface-*.whl"))
        python = _environment(work / "camera", f"npuface[{engine}] @ {wheel.as_uri()}", project / "constraints.txt")
        packages = Path(_run([str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]).strip())
        arguments = [str(path.resolve()) for path in (bundle, detector) if path]
        started = [_start(python, arguments, work) for _ in range(runs + 1)][1:]
        figures = {key: median(run[key] for run in started) for key in started[0]}
        return StartUp(
            engine,
            wheel.stat().st_size,
            _size(packages / "npuface_runtime"),
            _size(packages),
            figures["import_s"],
            figures["first_result_s"],
            figures["next_s"],
            figures["peak_mib"],
            runs,
            asdict(describe_machine()),
        )


def _environment(folder: Path, requirement: str, constraints: Path) -> Path:
    """The Python of a new environment in which the requirement is installed, at the versions that are pinned."""
    venv.create(folder, with_pip=False)
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", str(python), "install", "--quiet", "--disable-pip-version-check"]
    _run([*pip, "-c", str(constraints), requirement])
    return python


def _start(python: Path, arguments: Sequence[str], folder: Path) -> dict[str, float]:
    """One new process on one core."""
    core = min(os.sched_getaffinity(0))
    began = time.time()
    environment = {"PATH": os.environ.get("PATH", "")}
    pinned = f"import os; os.sched_setaffinity(0, {{{core}}})\n"
    said = json.loads(
        _run([str(python), "-c", pinned + PEAK + _PROGRAM, *arguments], folder, environment).splitlines()[-1]
    )
    figures: dict[str, float] = {key: float(said[key]) for key in ("import_s", "next_s", "peak_mib")}
    return figures | {"first_result_s": float(said["first"]) - began}


def _run(command: Sequence[str], folder: Path | None = None, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=environment, timeout=900)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UserError("cannot measure the start-up", reason_of(error), "run it again") from None
    if done.returncode:
        why = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise UserError("cannot measure the start-up", why[-1], "see what it says, and run it again")
    return done.stdout


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file() and path.suffix != ".pyc")


def as_markdown(found: StartUp) -> str:
    """A table for documents."""
    rows = [
        ("wheel", f"{found.wheel_bytes / 1024:,.0f} KiB"),
        ("runtime, installed", f"{found.runtime_bytes / 1024:,.0f} KiB"),
        (
            f"everything installed: the wheel, numpy, {found.engine} and what they bring",
            f"{found.installed_bytes / 2**20:,.0f} MiB",
        ),
        ("import", f"{found.import_s:.2f} s"),
        ("first result after the process's start", f"{found.first_result_s:.2f} s"),
        ("next frame", f"{found.next_s * 1000:.0f} ms"),
        ("peak memory", f"{found.peak_mib:,.0f} MiB"),
    ]
    where = f"Measured on one core of {found.machine['cpu']}, medians of {found.runs} processes."
    return "\n".join([where, "", "| what | value |", "|---|---:|", *(f"| {what} | {value} |" for what, value in rows)])


def main(
    bundle: Annotated[Path, typer.Argument(help="A landmark network's bundle.")],
    detector: Annotated[
        Path | None, typer.Option("--detector", help="A detector's bundle for the same engine.")
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="New processes to start.")] = 7,
    project: Annotated[Path, typer.Option("--project", help="A clone of the project.")] = Path(),
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure the wheel, the import, the first result and the memory of the runtime with one engine."""
    try:
        found = measure_start_up(bundle, project, detector, runs)
    except UserError as error:
        typer.echo(f"error: {error.what}\n  why: {error.why}\n  fix: {error.fix}", err=True)
        raise typer.Exit(2) from None
    print(json.dumps(asdict(found), indent=2) if as_json else as_markdown(found))


if __name__ == "__main__":
    typer.run(main)
