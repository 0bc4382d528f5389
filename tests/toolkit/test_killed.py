"""Killed at any moment: a bundle is the old one or the new one, a checkpoint loads, a run's state goes on."""

from __future__ import annotations

import multiprocessing
import os
import random
import signal
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_bundle import write_small_bundle

from npuface_export.bundle import workspace, write_bundle
from npuface_runtime.bundle import open_bundle
from npuface_runtime.install import install_bundle
from npuface_runtime.manifest import Manifest
from npuface_toolkit.checkpoint import StudentInfo, load_student, save_student
from npuface_toolkit.landmark_state import RunState, load_state, save_state
from npuface_toolkit.student import Student, StudentConfig

KILLS = 25
FORK = multiprocessing.get_context("fork")


def kill_while(work: Callable[[int], None], check: Callable[[], None]) -> None:
    """Do `work` over and over in a process that is killed after some milliseconds, then `check` what is there."""
    times = random.Random(0)
    for _ in range(KILLS):
        started = FORK.Event()

        def loop(started: object = started) -> None:
            for number in range(100_000):
                work(number)
                started.set()  # type: ignore[attr-defined]

        process = FORK.Process(target=loop)
        process.start()
        assert started.wait(60)
        time.sleep(times.uniform(0, 0.03))
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        process.join()
        assert process.exitcode == -signal.SIGKILL
        check()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("killed") / "bundle"
    write_small_bundle(folder)
    return folder


def opens(bundle: Path) -> None:
    manifest, session = open_bundle(bundle)  # sizes and hashes are checked
    session.close()
    assert len(list(bundle.iterdir())) <= len(manifest.files) + 3  # a file or two of the other one may be left


def test_a_bundle_that_is_written_again(bundle: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    manifest = Manifest.load(bundle)
    model = manifest.file(bundle, "model").read_bytes()

    def work(number: int) -> None:
        with workspace(out) as folder:
            file = folder / "model.onnx"
            file.write_bytes(model + b"\x7a\x04" + f"{number % 7:04d}".encode())  # a string that ONNX does not know
            write_bundle(out, folder, replace(manifest, name=f"killed {number}"), {"model": file})

    kill_while(work, lambda: opens(out))


def test_a_bundle_that_is_installed(bundle: Path, tmp_path: Path) -> None:
    place = tmp_path / "models" / "current"

    def work(_: int) -> None:
        install_bundle(bundle, place)

    kill_while(work, lambda: opens(place))


def test_a_checkpoint(tmp_path: Path) -> None:
    student = Student(StudentConfig(input_size=64, points=68, boundaries=13, width=0.25, depth=1))
    info = StudentInfo(student.config, "ibug-68")
    file = tmp_path / "student.safetensors"

    def check() -> None:
        load_student(str(file))

    kill_while(lambda _: save_student(file, student.state_dict(), info), check)


def test_the_state_of_a_run(tmp_path: Path) -> None:
    file = tmp_path / "run.state"
    tensors = {"student": {"w": torch.zeros(200_000)}}

    def check() -> None:
        assert load_state(file, {}) is not None

    kill_while(lambda number: save_state(file, RunState(0, number, 1.0, [], tensors), {}), check)
