"""The examples of docs/runtime.md run, and its C compiles."""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_export.c_header import c_header
from npuface_runtime import Manifest

PAGE = (Path(__file__).parents[2] / "docs/runtime.md").read_text()
PYTHON = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


@pytest.fixture
def folder(onnx_bundle: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, astronaut: NDArray[np.uint8]) -> Path:
    """What the examples find beside them: two bundles and a video."""
    shutil.copytree(onnx_bundle, tmp_path / "bundle")
    shutil.copytree(onnx_bundle, tmp_path / "new-bundle")
    small = cv2.resize(astronaut, (320, 240))
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (320, 240))
    for _ in range(4):
        writer.write(small[:, :, ::-1])
    writer.release()
    frames = cv2.resize(astronaut, (640, 480)).tobytes() * 2
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(frames)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("code", PYTHON, ids=lambda code: code.split("\n\n")[-1].splitlines()[0][:40])
def test_an_example_runs(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    exec(compile(code, "docs/runtime.md", "exec"), {})
    prints = code.count("print(")
    assert bool(capsys.readouterr().out) == bool(prints)


def test_there_are_examples() -> None:
    assert len(PYTHON) == 5


def test_the_c_example_compiles(onnx_bundle: Path, tmp_path: Path) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        pytest.skip("no C compiler (cc, gcc or clang) on the path: the example cannot be compiled")
    (code,) = re.findall(r"^```c\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    (tmp_path / "npuface_model.h").write_text(c_header(Manifest.load(onnx_bundle)))
    (tmp_path / "example.c").write_text(code)
    flags = ["-std=c99", "-Wall", "-Wextra", "-Werror", "-c"]
    subprocess.run([compiler, *flags, "example.c"], cwd=tmp_path, check=True)
