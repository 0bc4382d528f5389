"""Workers of a toolchain that answer, refuse, crash, hang, fill the disk or talk nonsense, and what users read then."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
from tiny_toolchain import TINY

from npuface_export.bundle import workspace
from npuface_export.toolchains import Toolchain, call_worker
from npuface_runtime.errors import UserError

HEAD = "import json, os, signal, subprocess, sys, tempfile, time\n"
ANSWER = "open(sys.argv[2], 'w').write({})\n"


@pytest.fixture(autouse=True)
def tiny(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Toolchain:
    """The toolchain, installed; this Python is its own."""
    monkeypatch.setenv("NPUFACE_TOOLCHAINS", str(tmp_path / "toolchains"))
    TINY.python.parent.mkdir(parents=True)
    TINY.python.symlink_to(Path(sys.executable).resolve())
    TINY.write_ready({})
    return TINY


def call(tmp_path: Path, script: str, timeout: float = 30.0, folder: Path | None = None) -> Any:
    """What a worker of that text answers; it runs in the workspace of a bundle, of which nothing may stay."""
    worker = tmp_path / "worker.py"
    worker.write_text(HEAD + script)
    request = {"numbers": [1, 2]}
    if folder is not None:
        return call_worker(TINY, worker, request, folder, task="compile for tiny", timeout=timeout)
    place = tmp_path / "place"
    try:
        with workspace(place / "bundle") as inside:
            return call_worker(TINY, worker, request, inside, task="compile for tiny", timeout=timeout)
    finally:
        assert list(place.iterdir()) == []


def refused(tmp_path: Path, script: str, timeout: float = 30.0) -> tuple[UserError, str]:
    """The error, and the whole log, which the error names."""
    with pytest.raises(UserError) as caught:
        call(tmp_path, script, timeout)
    assert caught.value.what == "cannot compile for tiny"
    (log,) = (TINY.folder / "logs").iterdir()
    assert str(log) in caught.value.why
    return caught.value, log.read_text()


def has_ended(pid: int, within: float = 10.0) -> bool:
    """Whether a process that was killed is gone; the one that should collect it may be slow."""
    until = time.monotonic() + within
    while psutil.pid_exists(pid):
        with contextlib.suppress(psutil.NoSuchProcess):
            if psutil.Process(pid).status() == psutil.STATUS_ZOMBIE:
                return True
        if time.monotonic() >= until:
            return False
        time.sleep(0.02)
    return True


def test_an_answer_comes_back(tmp_path: Path) -> None:
    script = ANSWER.format("json.dumps({'sum': sum(json.load(open(sys.argv[1]))['numbers']), 'at': os.getcwd()})")
    answer = call(tmp_path, script)
    assert answer["sum"] == 3
    assert Path(answer["at"]).name.startswith(".bundle.")


def test_the_folder_may_be_relative(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    assert call(tmp_path, ANSWER.format("'{}'"), folder=Path("here")) == {}


def test_nothing_of_ours_is_seen_by_a_worker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "numpy.py").write_text("")
    seen = call(tmp_path, ANSWER.format("json.dumps({'path': sys.path, 'temporary': tempfile.gettempdir()})"))
    assert str(tmp_path) not in seen["path"]
    assert Path(seen["temporary"]).parent == tmp_path / "place"


@pytest.mark.parametrize(
    ("script", "why", "fix"),
    [
        ("print('boom'); sys.exit(3)", r"failed with exit status 3; it printed:\nboom\n\(all", "read the log"),
        (
            "raise ValueError('no such layer')",
            r"failed with exit status 1; it printed:\n(?s:.*)no such layer",
            "read the log",
        ),
        ("sys.exit(4)", r"failed with exit status 4 and printed nothing \(its log is", "read the log"),
        ("print('last'); os.kill(os.getpid(), signal.SIGSEGV)", r"was ended by SIGSEGV; it printed:\nlast", "read"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "was ended by SIGKILL and printed nothing", "memory enough"),
        ("os.kill(os.getpid(), signal.SIGRTMIN + 2)", r"was ended by signal \d\d", "read the log"),
        ("", "ended without an answer that can be read", "read the log"),
        (ANSWER.format("'{'"), "ended without an answer", "read the log"),
        (ANSWER.format("'[1]'"), "ended without an answer", "read the log"),
        (ANSWER.format("'{\"a\": NaN}'"), "ended without an answer", "read the log"),
        ("open(sys.argv[2], 'wb').write(bytes([255] * 9))", "ended without an answer", "read the log"),
        (ANSWER.format("'{}'") + "sys.exit(5)", "failed with exit status 5", "read the log"),
    ],
)
def test_a_worker_that_fails(tmp_path: Path, script: str, why: str, fix: str) -> None:
    error, _ = refused(tmp_path, script)
    assert re.match(f"Tiny's Compiler {why}", error.why), error.why
    assert fix in error.fix


@pytest.mark.parametrize("end", ["", "sys.exit(1)"])
def test_a_refusal_of_the_vendors_tool_is_passed_on(tmp_path: Path, end: str) -> None:
    record = {"error": {"why": "no Softmax in uint16", "fix": "take another form"}}
    error, log = refused(tmp_path, "print('details')\n" + ANSWER.format(f"json.dumps({record})") + end)
    assert error.why.startswith("no Softmax in uint16 (its log is ")
    assert error.fix == "take another form"
    assert log == "details\n"


@pytest.mark.parametrize("record", ["text", {"why": "only"}, {"why": 1, "fix": "x"}, None])
def test_a_refusal_that_is_none_is_still_one(tmp_path: Path, record: object) -> None:
    error, _ = refused(tmp_path, ANSWER.format(f"json.dumps({{'error': {record!r}}})"))
    assert error.why.startswith("it refuses, and its reason cannot be read: ")


@pytest.mark.parametrize(
    "script",
    [
        "raise OSError(28, os.strerror(28), 'model.bin')",
        "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (9000, 9000))\n"
        "with open('big', 'wb', buffering=0) as big:\n    while True: big.write(bytes(1000))",
    ],
)
def test_a_full_disk_is_named(tmp_path: Path, script: str) -> None:
    error, log = refused(tmp_path, script)
    assert error.why.startswith("the disk is full: Tiny's Compiler failed with exit status 1 (its log is ")
    assert error.fix == "free some space and run it again"
    assert "OSError" in log


def test_of_much_print_the_end_is_shown_and_all_is_kept(tmp_path: Path) -> None:
    error, log = refused(tmp_path, "for i in range(200_000): print('line', i)\nsys.exit(1)")
    shown = error.why.splitlines()
    assert shown[1:-1] == [f"line {i}" for i in range(199_988, 200_000)]
    assert len(log.splitlines()) == 200_000


def test_a_hanging_worker_is_stopped_with_its_children(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    script = f"print(subprocess.Popen({child}).pid, os.getpid())\ntime.sleep(60)"
    wait = subprocess.Popen.wait

    def wait_once_it_hangs(process: subprocess.Popen[bytes], timeout: float | None = None) -> int:
        """On a busy machine its start may take longer than the limit."""
        until = time.monotonic() + 60
        while timeout is not None and not next((TINY.folder / "logs").iterdir()).read_text().endswith("\n"):
            assert time.monotonic() < until
            time.sleep(0.02)
        return wait(process, timeout)

    monkeypatch.setattr(subprocess.Popen, "wait", wait_once_it_hangs)
    error, log = refused(tmp_path, script, timeout=0.2)
    assert error.why.startswith("Tiny's Compiler took over 0.2 s and was stopped; it printed:\n")
    assert error.fix == "try a smaller network"
    pids = [int(word) for word in log.split()]
    assert len(pids) == 2
    assert all(has_ended(pid) for pid in pids)


def test_children_that_outlive_a_worker_are_stopped(tmp_path: Path) -> None:
    child = "[sys.executable, '-c', 'import time; time.sleep(60)']"
    answer = call(tmp_path, ANSWER.format(f"json.dumps({{'pid': subprocess.Popen({child}).pid}})"))
    assert has_ended(answer["pid"])
    assert not has_ended(os.getpid(), within=0)


def test_the_answer_of_an_earlier_call_is_not_taken_for_this_ones(tmp_path: Path) -> None:
    (folder := tmp_path / "folder").mkdir()
    assert call(tmp_path, ANSWER.format("'{}'"), folder=folder) == {}
    with pytest.raises(UserError, match="ended without an answer"):
        call(tmp_path, "", folder=folder)


def test_a_missing_toolchain_names_the_command_that_brings_it(tmp_path: Path) -> None:
    absent = replace(TINY, name="absent")
    with pytest.raises(UserError) as caught:
        call_worker(absent, tmp_path / "worker.py", {}, tmp_path, task="compile", timeout=1)
    assert caught.value.why == "the toolchain absent is not installed"
    assert caught.value.fix == "run: npuface toolchain install absent"
    assert not absent.folder.exists()


def test_only_the_newest_logs_are_kept(tmp_path: Path) -> None:
    logs = TINY.folder / "logs"
    logs.mkdir()
    for number in range(30):
        (logs / f"2020{number:04d}.log").write_text("")
    call(tmp_path, ANSWER.format("'{}'"))
    kept = sorted(path.name for path in logs.iterdir())
    assert len(kept) == 20
    assert kept[0] == "20200011.log"
    assert kept[-1].endswith(f"-worker-{os.getpid()}.log")


@pytest.mark.parametrize("obstacle", ["a file", "a folder without permission"])
def test_where_logs_cannot_be_written_they_are_temporary_files(
    obstacle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    logs, temporary = TINY.folder / "logs", tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    if obstacle == "a file":
        logs.write_text("")
    else:
        logs.mkdir(mode=0o555)
        if os.access(logs, os.W_OK):
            pytest.skip("this user may write everywhere")
    assert call(tmp_path, ANSWER.format("'{}'")) == {}
    with pytest.raises(UserError, match=f"failed with exit status 1; it printed:\nboom\n.*{temporary}"):
        call(tmp_path, "sys.exit('boom')")
    assert sorted(log.read_text() for log in temporary.iterdir()) == ["", "boom\n"]
