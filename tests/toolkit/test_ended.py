"""The command ended from outside, at any moment: one line or none, the exit code of the signal, nothing left behind."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

COMMAND = (sys.executable, "-m", "npuface_toolkit")
IN_A_CALLBACK = """
import gc, os, signal, sys
from npuface_toolkit.__main__ import main

def end(phase, info):
    if signal.getsignal(number) not in (signal.SIG_DFL, signal.SIG_IGN):
        gc.callbacks.remove(end)
        os.kill(os.getpid(), number)
        len([None for _ in range(9)])

number = int(sys.argv.pop(1))
gc.callbacks.append(end)
main()
"""
WHILE_IMPORTING = """
import os, signal, sys
from npuface_toolkit.__main__ import main

class End:
    def find_spec(name, *where):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

module = sys.argv.pop(1)
sys.meta_path.insert(0, End)
main()
"""
WITHOUT_TYPER = """
import sys
sys.modules["typer"] = None  # as where it is not installed
from npuface_toolkit.__main__ import main
main()
"""


@pytest.fixture(autouse=True)
def heard() -> Iterator[None]:
    """What a shell starts in the background ignores Ctrl-C, and so would the commands here."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def export(out: Path) -> tuple[str, ...]:
    return ("export", "student-68", "--target", "litert-cpu", "--out", str(out))


def end(number: signal.Signals, out: Path, ready: Callable[[], bool]) -> tuple[int, str]:
    """Start an export, signal it as soon as it is ready: its exit code and what it said."""
    process = subprocess.Popen([*COMMAND, *export(out)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    if number is signal.SIGTERM:
        process.send_signal(number)  # as `timeout` does
    said = process.communicate(timeout=120)[1]
    return process.returncode, said


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_an_export_that_is_ended_leaves_nothing_behind(number: signal.Signals, code: int, tmp_path: Path) -> None:
    ended, said = end(number, tmp_path / "bundle", lambda: any(tmp_path.iterdir()))
    assert ended == code
    assert "Traceback" not in said
    assert said.endswith("interrupted\n") == (number is signal.SIGINT)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("module", ["typer", "numpy", "rich.console", "npuface_toolkit.cli.trial"])
def test_ctrl_c_while_the_command_starts_is_one_line(module: str) -> None:
    words = [sys.executable, "-c", WHILE_IMPORTING, module, "targets"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_that_meets_a_callback_is_not_lost(number: int, code: int, tmp_path: Path) -> None:
    command = [sys.executable, "-c", IN_A_CALLBACK, str(int(number)), *export(tmp_path / "bundle")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_worker_that_is_ended_ends_at_once() -> None:
    program = """
import os, signal, sys, time
sys.argv[1:] = ["--help"]
from npuface_toolkit.__main__ import main
try:
    main()
except SystemExit:
    pass
started, starts = os.pipe()
worker = os.fork()
if not worker:
    try:
        os.write(starts, b".")
        time.sleep(60)
    finally:
        os._exit(1)
os.read(started, 1)
os.kill(worker, signal.SIGTERM)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(worker, 0)[1]) != -signal.SIGTERM)
"""
    assert subprocess.run([sys.executable, "-c", program], stdout=subprocess.DEVNULL, timeout=60).returncode == 0


def test_a_camera_is_told_what_the_command_needs() -> None:
    words = [sys.executable, "-c", WITHOUT_TYPER, "track", "bundle", "film.avi"]
    done = subprocess.run(words, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    first, why, fix = done.stderr.splitlines()
    assert first == "error: cannot start the command npuface"
    assert "typer" in why
    assert fix == "  fix: pip install 'npuface[export]'"
    done = subprocess.run([*words, "--json"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (2, "")
    assert json.loads(done.stdout)["error"]["fix"] == "pip install 'npuface[export]'"
