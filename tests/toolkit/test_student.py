"""The student's published sizes, its parameters, and its checkpoints."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import StudentInfo, load_student, rounded, save_student
from npuface_toolkit.student import HeatmapNetwork, Student, StudentConfig

SMALL = StudentConfig(input_size=64, width=0.25, depth=2)


def test_published_sizes() -> None:
    """24 x 64 x 64 into the hourglass, 152 x 64 x 64 out of it, 15 boundaries and K heatmaps at 256 px."""
    student = Student(StudentConfig(points=98, boundaries=15)).eval()
    with torch.no_grad():
        stem = student.stem(torch.zeros(1, 3, 256, 256))
        features = student.hourglass(stem)
        out = student.head(features)
    assert stem.shape == (1, 24, 64, 64)
    assert features.shape == (1, 152, 64, 64)
    assert out.edges.shape == (1, 15, 64, 64)
    assert out.heatmaps.shape == (1, 98, 64, 64)


@settings(max_examples=12, deadline=None)
@given(st.integers(1, 3), st.integers(1, 3), st.integers(1, 100), st.sampled_from([0.25, 0.5]))
def test_any_shape(depth: int, sizes: int, points: int, width: float) -> None:
    config = StudentConfig(sizes * (4 << depth), points, 3, width, depth)
    with torch.no_grad():
        heatmaps = HeatmapNetwork(Student(config).eval())(torch.zeros(1, 3, config.input_size, config.input_size))
    assert heatmaps.shape == (1, points, config.heatmap_size, config.heatmap_size)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"input_size": 100}, "not a multiple of 64"),
        ({"input_size": 1024}, "256 cells a side, not 2 to 255"),
        ({"depth": 6}, "depth 6"),
        ({"points": 0}, "must be positive"),
    ],
)
def test_impossible_shapes_are_refused(change: dict[str, int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        StudentConfig(**change)


def test_checkpoint_round_trip(tmp_path: Path) -> None:
    student = Student(SMALL).eval()
    student.load_state_dict(rounded(student.state_dict()))
    info = StudentInfo(SMALL, "ibug-68", beta=12.0, facts={"nme": 0.05})
    save_student(tmp_path / "s.safetensors", student.state_dict(), info)
    loaded, read = load_student(str(tmp_path / "s.safetensors"))
    assert read == info
    pictures = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.equal(loaded(pictures).heatmaps, student(pictures).heatmaps)
    assert [p.name for p in tmp_path.iterdir()] == ["s.safetensors"]


def test_those_who_may_read_other_files_may_read_a_checkpoint(tmp_path: Path) -> None:
    save_student(tmp_path / "s.safetensors", Student(SMALL).state_dict(), StudentInfo(SMALL, "ibug-68"))
    (tmp_path / "other").touch()
    assert (tmp_path / "s.safetensors").stat().st_mode == (tmp_path / "other").stat().st_mode


def _write(path: Path, metadata: dict[str, str] | None) -> str:
    save_file({"x": torch.zeros(1)}, path, metadata)
    return str(path)


def test_bad_checkpoints_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no such file.*shipped student"):
        load_student("student-69")
    (tmp_path / "text.safetensors").write_text("this is no checkpoint at all")
    with pytest.raises(UserError, match="no safetensors file"):
        load_student(str(tmp_path / "text.safetensors"))
    with pytest.raises(UserError, match="does not say it is a npuface-student-1"):
        load_student(_write(tmp_path / "other.safetensors", None))
    for about in ("{", "{}", json.dumps({"config": {"points": 68}, "scheme": "wflw-98"})):
        with pytest.raises(UserError, match="disagree"):
            load_student(_write(tmp_path / "odd.safetensors", {"format": "npuface-student-1", "about": about}))


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    weights = Student(StudentConfig(64, width=0.5, depth=2)).state_dict()
    save_student(tmp_path / "s.safetensors", weights, StudentInfo(SMALL, "ibug-68"))
    with pytest.raises(UserError, match="disagree"):
        load_student(str(tmp_path / "s.safetensors"))


def test_a_full_disk_leaves_no_half_checkpoint(tmp_path: Path) -> None:
    """The file size limit of a child process stands in for the full disk: writing past it fails alike."""
    script = f"""
import resource, signal, sys
from pathlib import Path
from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import StudentInfo, save_student
from npuface_toolkit.student import Student, StudentConfig
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))
config = StudentConfig(input_size=64, width=0.25, depth=2)
try:
    weights = Student(config).state_dict()
    save_student(Path({str(tmp_path)!r}) / "s.safetensors", weights, StudentInfo(config, "ibug-68"))
except UserError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert "cannot write" in done.stdout, done.stderr
    assert list(tmp_path.iterdir()) == []
