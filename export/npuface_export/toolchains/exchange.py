"""Call a worker script in a toolchain's environment: JSON in, JSON out, a time limit, and a log that is kept.

A worker is a file in `workers/` that knows nothing of npuface. It is run as `python -I WORKER request.json
response.json` in a folder of its own, may leave files there, and writes either its answer or {"error": {"why", "fix"}}.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from npuface_export.toolchains.ended import FREE_SPACE, how_it_ended, says_full_disk
from npuface_export.toolchains.toolchain import Toolchain
from npuface_runtime.errors import UserError
from npuface_runtime.plain import build, parse_json

WORKERS = Path(__file__).parent / "workers"
LOGS = "logs"
"""The folder in that of a toolchain for what its workers printed."""
_LOG_LINES = 12
_LOG_BYTES = 2**16
_LOGS_KEPT = 20
_FULL_BYTES = 2**20
_KILL = 9
"""The signal by which a system that is out of memory ends a process."""


@dataclass(frozen=True)
class Interpreter:
    """What runs workers.

    Attributes:
        title: of the vendor's tool, for the messages.
        python: the program.
        logs: the folder for what workers print.
    """

    title: str
    python: Path
    logs: Path


@dataclass(frozen=True)
class _Refusal:
    """Why the vendor's tool refuses, and what to do about it."""

    why: str
    fix: str


def call_worker(
    toolchain: Toolchain, worker: Path, request: Mapping[str, Any], folder: Path, *, task: str, timeout: float
) -> Mapping[str, Any]:
    """Run a worker in a toolchain's environment to its end. Returns its answer.

    Raises:
        UserError: the toolchain is not installed, or as run_worker says.
    """
    toolchain.require()
    interpreter = Interpreter(toolchain.title, toolchain.python, toolchain.folder / LOGS)
    return run_worker(interpreter, worker, request, folder, task=task, timeout=timeout)[0]


def run_worker(
    interpreter: Interpreter, worker: Path, request: Mapping[str, Any], folder: Path, *, task: str, timeout: float
) -> tuple[Mapping[str, Any], Path]:
    """Run a worker to its end.

    Args:
        interpreter: what runs it.
        worker: the script.
        request: plain data; large arrays go into files in `folder`.
        folder: where it runs, and may write.
        task: for the messages, such as "compile for rockchip-rk3588".
        timeout: seconds until it and all that it started is stopped.

    Returns:
        Its answer, and its log.

    Raises:
        UserError: the worker refuses, crashes, hangs, fills the disk or answers nonsense. The message names the log.
    """
    folder = folder.resolve()  # the worker runs in it, where a relative path would be another
    asked, answered = folder / "request.json", folder / "response.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    answered.unlink(missing_ok=True)  # the one of a call before this
    what, log = f"cannot {task}", _new_log(interpreter.logs, worker)
    command = [str(interpreter.python), "-I", "-u", str(worker.resolve()), str(asked), str(answered)]
    status = _run(command, folder, log, timeout)
    if status is None:
        why = f"{interpreter.title} took over {timeout:g} s and was stopped"
        _fail(what, why, log, folder, "try a smaller network")
    answer = _answer(answered)
    refusal = _refusal(answer)
    if refusal is not None:
        raise UserError(what, f"{refusal.why} (its log is {log})", refusal.fix)
    if status != 0 or answer is None:
        fix = "see that it has memory enough, or try a smaller network" if status == -_KILL else "read the log"
        _fail(what, f"{interpreter.title} {how_it_ended(status)}", log, folder, fix)
    return answer, log


def _run(command: list[str], folder: Path, log: Path, timeout: float) -> int | None:
    """The exit status; None where it took too long. Everything that it started is ended with it.

    What it puts into the folder for temporary files lies in `folder`, and goes with it.
    """
    environment = {**os.environ, **dict.fromkeys(("TMPDIR", "TEMP", "TMP"), str(folder))}
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None
        finally:
            _end(process)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a process and its children, which are a group of their own."""
    if sys.platform == "win32":
        process.kill()
    else:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # the latter, on macOS: all of it has ended
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answer(path: Path) -> Mapping[str, Any] | None:
    try:
        answer = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _refusal(answer: Mapping[str, Any] | None) -> _Refusal | None:
    """What a worker says of the vendor's tool that refused; None where it says nothing of the kind."""
    if answer is None or "error" not in answer:
        return None
    try:
        refusal: _Refusal = build(_Refusal, answer["error"], "error")
    except ValueError:
        return _Refusal(f"it refuses, and its reason cannot be read: {answer['error']!r}", "read the log")
    return refusal


def _fail(what: str, why: str, log: Path, folder: Path, fix: str) -> NoReturn:
    text = _end_of(log)
    if says_full_disk(text) or shutil.disk_usage(folder).free < _FULL_BYTES:  # it may lack space even to say so
        raise UserError(what, f"the disk is full: {why} (its log is {log})", FREE_SPACE)
    printed = "\n".join(text.strip().splitlines()[-_LOG_LINES:])
    told = (
        f"; it printed:\n{printed}\n(all of it is in {log})" if printed else f" and printed nothing (its log is {log})"
    )
    raise UserError(what, why + told, fix)


def _end_of(log: Path) -> str:
    """What a worker printed last."""
    with log.open("rb") as stream:
        stream.seek(max(0, log.stat().st_size - _LOG_BYTES))
        return stream.read().decode(errors="replace")


def _new_log(logs: Path, worker: Path) -> Path:
    """A new file for what a worker prints; the oldest ones go.

    Where that folder cannot be written, as in an installation that others share, it is one for temporary files.
    """
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    try:
        logs.mkdir(parents=True, exist_ok=True)
        for old in sorted(logs.glob("*.log"))[: -(_LOGS_KEPT - 1)]:
            old.unlink(missing_ok=True)
        log = logs / f"{now}-{worker.stem}-{os.getpid()}.log"
        log.touch()
    except OSError:
        number, name = tempfile.mkstemp(".log", f"npuface-{worker.stem}-")
        os.close(number)
        log = Path(name)
    return log
