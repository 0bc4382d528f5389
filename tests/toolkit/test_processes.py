"""Training on several processes, as on several GPUs or machines: real processes, on the CPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from npuface_runtime.errors import UserError
from npuface_toolkit import train
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.epoch_batches import EpochBatches
from npuface_toolkit.face3d.batches import Batches
from npuface_toolkit.face3d.config import Face3dTraining
from npuface_toolkit.face3d.face3d_checkpoint import load_face3d
from npuface_toolkit.face3d.head_views import make_views, save_views, stacked
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.faces import Face
from npuface_toolkit.schemes import IBUG_68
from npuface_toolkit.training_config import Stage, TrainingConfig

TINY = """
width = 0.25
depth = 2
held_out = 0.3
workers = 0
stages = [{ input_size = 64, epochs = 2, batch = 4 }]
"""


def _launch(processes: int, *command: str) -> subprocess.CompletedProcess[str]:
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "ACCELERATE_USE_CPU": "true"}
    return subprocess.run(
        [*launcher, *command], env=environment, capture_output=True, text=True, timeout=300, check=False
    )


@pytest.mark.parametrize("script", ["gradients.py", "face3d/face3d_gradients.py"])
def test_two_processes_have_the_gradients_of_one(script: str, source: str, tmp_path: Path) -> None:
    given = [source] if script == "gradients.py" else []
    for processes in (1, 2):
        done = _launch(processes, str(Path(__file__).parent / script), *given, str(tmp_path))
        assert done.returncode == 0, done.stderr[-2000:]
    alone, first, second = (torch.load(tmp_path / f"{name}.pt") for name in ("0-of-1", "0-of-2", "1-of-2"))
    assert [found.pop("faces") for found in (alone, first, second)] == [4, 2, 2]
    for name, gradient in alone.items():
        assert torch.equal(first[name], second[name]), name
        torch.testing.assert_close(first[name], gradient, rtol=1e-3, atol=1e-6, msg=name)
    assert max(float(gradient.abs().max()) for gradient in alone.values()) > 1e-3


def test_two_processes_write_one_checkpoint(source: str, tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text(TINY)
    out, config = tmp_path / "out" / "tiny.safetensors", str(tmp_path / "tiny.toml")
    command = ["-m", "npuface_toolkit", "train", "--data", source, "--config", config, "--out", str(out), "--json"]
    done = _launch(2, *command)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["checkpoint"] == str(out)
    load_student(str(out))
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "tiny.logs", "tiny.md", "tiny.png", "tiny.safetensors"
    ]  # fmt: skip


def test_two_processes_write_one_3d_model(tmp_path: Path) -> None:
    heads, out = tmp_path / "heads.safetensors", tmp_path / "out" / "tiny.safetensors"
    save_views(heads, stacked(list(make_views(4, 2, 64, 1, 45, 20))))
    (tmp_path / "tiny.toml").write_text("steps = 3\nbatch = 2\nsheet_every = 2\ngenerator.width = 8\n")
    command = ["--heads", str(heads), "--config", str(tmp_path / "tiny.toml"), "--out", str(out), "--json"]
    done = _launch(2, "-m", "npuface_toolkit", "face3d", "train", *command)
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(done.stdout)["checkpoint"] == str(out)
    assert "2 processes" in load_face3d(str(out)).facts["machine"]
    assert sorted(path.name for path in out.parent.iterdir()) == ["tiny.md", "tiny.safetensors", "tiny.sheets"]


def test_the_shares_of_a_3d_batch_are_the_batch() -> None:
    heads = stacked(list(make_views(4, 2, 64, 1, 45, 20)))
    photos = Photos(heads.rgb[:, 0], heads.poses[:, 0], tuple("abcd"))
    config = Face3dTraining(batch=8)
    whole = Batches(heads, photos, config).draw(5)
    one, other = (Batches(heads, photos, config, process, 2).draw(5) for process in (0, 1))
    assert (whole.heads, one.heads, other.heads) == (4, 2, 2)
    for name in whole.__dataclass_fields__:
        parts = [getattr(batch, name) for batch in (one, other)]
        halves = len(parts[0]) // 2 if name in ("source", "target", "source_pose", "pose") else len(parts[0])
        mixed = [torch.stack([part[a:b] for part in parts], 1).flatten(0, 1) for a, b in ((0, halves), (halves, None))]
        assert torch.equal(torch.cat(mixed), getattr(whole, name)), name
    with pytest.raises(UserError, match="4 heads and 4 photographs does not divide among 3"):
        Batches(heads, photos, config, 0, 3)


def test_the_shares_of_a_batch_are_the_batch() -> None:
    whole = list(EpochBatches(11, 4, seed=1))
    shares = [list(EpochBatches(11, 4, 1, process, 2)) for process in (0, 1)]
    assert [len(batch) for batch in whole] == [4, 4]
    assert max(Counter(face for batch in whole for face in batch).values()) == 1
    for batch, one, other in zip(whole, *shares, strict=True):
        assert sorted(one + other) == sorted(batch)
        assert len(one) == len(other)


def test_a_batch_that_does_not_divide_is_refused(faces: list[Face], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train.Accelerator, "num_processes", 3)
    with pytest.raises(UserError, match="4 faces does not divide among 3"):
        train.Trainer(faces, IBUG_68, TrainingConfig((Stage(64, 1, 4),), width=0.25, depth=2))
