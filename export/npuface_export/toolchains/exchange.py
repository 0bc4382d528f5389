"""Call a worker script in a toolchain's environment: JSON in, JSON out, a time limit, and a log that is kept.

A worker is a file in `workers/` that knows nothing of npuface. It is run as `python -I WORKER request.json
response.json` in a folder of its own, may leave files there, and writes either its answer or {"error": {"why", "fix"}}.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn

from npuface_export.toolchains.toolchain import Toolchain
from npuface_runtime.errors import UserError
from npuface_runtime.plain import parse_json

WORKERS = Path(__file__).parent / "workers"
_LOG_LINES = 12
_LOGS_KEPT = 20
_NO_SPACE = os.strerror(errno.ENOSPC)


def call_worker(
    toolchain: Toolchain, worker: Path, request: Mapping[str, Any], folder: Path, *, task: str, timeout: float
) -> Mapping[str, Any]:
    """Run a worker to its end.

    Args:
        toolchain: in whose environment it runs.
        worker: the script.
        request: plain data; large arrays go into files in `folder`.
        folder: where it runs, and may write.
        task: for the messages, such as "compile for rockchip-rk3588".
        timeout: seconds until it and all that it started is stopped.

    Returns:
        Its answer.

    Raises:
        UserError: the toolchain is not installed; the worker refuses, crashes, hangs, fills the disk or answers
            nonsense. The message names the log.
    """
    toolchain.require()
    asked, answered = folder / "request.json", folder / "response.json"
    asked.write_text(json.dumps(request), encoding="utf-8")
    log = _new_log(toolchain, worker)
    command = [str(toolchain.python), "-I", str(worker), str(asked), str(answered)]
    what = f"cannot {task}"
    status = _run(command, folder, log, timeout)
    if status is None:
        _fail(what, f"{toolchain.title} took over {timeout:g} s and was stopped", log, "try a smaller network")
    answer = _answer(answered)
    if status != 0 or answer is None:
        _fail(what, f"{toolchain.title} {_ended(status)}", log, "read the log")
    if "error" in answer:
        error = answer["error"]
        _fail(what, str(error["why"]), log, str(error["fix"]), lines=0)
    return answer


def _run(command: list[str], folder: Path, log: Path, timeout: float) -> int | None:
    """The exit status; None where it took too long. Everything that it started is ended with it."""
    with log.open("wb") as stream:
        process = subprocess.Popen(
            command,
            cwd=folder,
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
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _answer(path: Path) -> Mapping[str, Any] | None:
    try:
        answer = parse_json(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return answer if isinstance(answer, dict) else None


def _ended(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"failed with exit status {status}" if status else "ended without an answer"


def _fail(what: str, why: str, log: Path, fix: str, lines: int = _LOG_LINES) -> NoReturn:
    text = log.read_text(encoding="utf-8", errors="replace")
    if _NO_SPACE in text:
        raise UserError(what, f"the disk is full ({why}; its log is {log})", "free some space and run it again")
    printed = "\n".join(text.strip().splitlines()[-lines:]) if lines else ""
    told = f"; it printed:\n{printed}\n(all of it is in {log})" if printed else f" (its log is {log})"
    raise UserError(what, why + told, fix)


def _new_log(toolchain: Toolchain, worker: Path) -> Path:
    """A new file for what a worker prints; the oldest ones go."""
    logs = toolchain.folder / "logs"
    logs.mkdir(exist_ok=True)
    for old in sorted(logs.glob("*.log"))[: -(_LOGS_KEPT - 1)]:
        old.unlink(missing_ok=True)
    now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S.%f")
    return logs / f"{now}-{worker.stem}-{os.getpid()}.log"
