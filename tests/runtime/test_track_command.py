"""`npuface track`, `soak` and `c-header` from the command line to their results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from npuface_toolkit.cli import main


def run(capfd: pytest.CaptureFixture[str], code: int, *arguments: object) -> Any:
    """The object that a command prints with --json."""
    with pytest.raises(SystemExit) as exit_info:
        main([*map(str, arguments), "--json"])
    assert exit_info.value.code == code
    return json.loads(capfd.readouterr().out)


@pytest.fixture
def film(tmp_path: Path, astronaut: NDArray[np.uint8]) -> Path:
    """A face that moves to the right by 4 pixels a frame."""
    writer = cv2.VideoWriter(str(tmp_path / "film.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25.0, (512, 512))
    for i in range(12):
        writer.write(np.roll(astronaut, 4 * i, axis=1)[:, :, ::-1])
    writer.release()
    return tmp_path / "film.avi"


def test_the_faces_of_a_video_are_followed(
    onnx_bundle: Path, film: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "found" / "faces.jsonl"
    said = run(capfd, 0, "track", onnx_bundle, film, "--out", out, "--frames", 9)
    assert (said["frames"], said["dropped"], said["ids"]) == (9, 0, [0])
    lines = [json.loads(line) for line in out.read_text().splitlines()]
    assert [line["frame"] for line in lines] == list(range(9))
    assert [line["time"] for line in lines] == pytest.approx(np.arange(9) / 25)
    x, y = np.mean(lines[0]["faces"][0]["landmarks"], axis=0)
    assert 180 < x < 270, "the face's middle"
    assert 60 < y < 170
    assert 0 < lines[0]["faces"][0]["confidence"] <= 1


def test_a_source_that_is_none_leaves_nothing_behind(
    onnx_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    said = run(capfd, 2, "track", onnx_bundle, tmp_path / "gone.mp4", "--out", tmp_path / "faces.jsonl")
    assert said["error"]["why"] == "there is no such file or folder"
    assert list(tmp_path.iterdir()) == []


def test_a_header_is_written(onnx_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = run(capfd, 0, "c-header", onnx_bundle, "--out", tmp_path / "model.h")
    assert said == {"header": str(tmp_path / "model.h"), "decode": "host", "points": 2}
    text = (tmp_path / "model.h").read_text()
    assert "#define NPUFACE_POINTS 2" in text
    assert "npuface_finish" in text


def test_soak_needs_data_that_is_there(onnx_bundle: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    said = run(capfd, 2, "soak", onnx_bundle, "--data", f"points:{tmp_path}/gone.csv")
    assert "there is no file" in said["error"]["why"]
