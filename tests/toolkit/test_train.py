"""The trainer on a tiny problem: it learns, and a killed run ends where an unbroken one does."""

from __future__ import annotations

import resource
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face
from npuface_toolkit.samples import FaceSamples
from npuface_toolkit.schemes import IBUG_68
from npuface_toolkit.train import Trainer
from npuface_toolkit.training_config import Stage, TrainingConfig, read_config
from npuface_toolkit.training_log import EpochReport
from npuface_toolkit.training_run import find_config, train_student

TINY = TrainingConfig(
    stages=(Stage(64, epochs=2, batch=4), Stage(128, epochs=1, batch=4)),
    width=0.25,
    depth=2,
    held_out=0.3,
    ema=0.5,
    workers=0,
)


def test_training_lowers_the_loss(faces: list[Face]) -> None:
    losses: list[float] = []
    config = replace(TINY, stages=(Stage(64, epochs=10, batch=4, rate=1e-2),))
    Trainer(faces, IBUG_68, config, report=lambda epoch: losses.append(epoch.loss)).run()
    assert losses[-1] < 0.7 * losses[0]


def test_a_face_in_a_rare_pose_is_shown_more_often(faces: list[Face], monkeypatch: pytest.MonkeyPatch) -> None:
    sheared = faces[-1].points @ np.array([[1, 0.4], [0, 1]], np.float32)
    turned = [*faces[:-1], replace(faces[-1], points=sheared - sheared.mean(axis=0) + faces[-1].points.mean(axis=0))]
    shown: list[int] = []

    class Seen(FaceSamples):
        def __init__(self, faces: Sequence[Face], *rest: Any, **how: Any) -> None:
            super().__init__(faces, *rest, **how)
            shown.append(len(faces))

    monkeypatch.setattr("npuface_toolkit.train.FaceSamples", Seen)
    stage = (Stage(64, epochs=1, batch=4),)
    for balance in (1, 3):
        Trainer(turned, IBUG_68, replace(TINY, stages=stage, balance=balance, held_out=0.0)).run()
    assert shown[0] == len(faces)
    assert shown[2] == len(faces) + 2


@pytest.mark.parametrize("share", [0.0, 1.0])
def test_labels_by_networks_count_as_far_as_the_configuration_trusts_them(faces: list[Face], share: float) -> None:
    """Points in another order leave a face where it is: where its labels do not count, the training is the same."""
    known = np.ones(68, np.float32)
    right = [*faces[:8], *(replace(face, weights=known) for face in faces[8:])]
    wrong = [*faces[:8], *(replace(face, points=face.points[::-1].copy(), weights=known) for face in faces[8:])]
    config = replace(TINY, stages=TINY.stages[:1], held_out=0.0, network_labels=share)
    losses = []
    for shown in (right, wrong):
        trainer = Trainer(shown, IBUG_68, config)
        trainer.run()
        losses.append(trainer.history[-1].loss)
    assert (losses[0] == losses[1]) == (share == 0)


def test_a_run_without_labels_that_count_and_without_a_teacher_is_refused(
    source: str, faces: list[Face], tmp_path: Path
) -> None:
    rows = []
    for face in faces:
        (tmp_path / face.picture.name).write_bytes(face.picture.read_bytes())  # not those of the people held out
        rows.append(f"{face.picture.name}," + ",".join(f"{x},{y},1" for x, y in face.points))
    (tmp_path / "weighted.csv").write_text("\n".join(rows))
    sources = [source, f"weighted:{tmp_path}/weighted.csv:{tmp_path}"]
    config = replace(TINY, held_out=1.0, network_labels=0.0)  # labels by people only measure
    with pytest.raises(UserError, match="no teacher speaks of its faces"):
        train_student(sources, config, tmp_path / "out.safetensors", "test", lambda _: None)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("m.md", "ends in .safetensors"),
        ("m.state", "ends in .safetensors"),
        (".", "ends in .safetensors"),
        ("folder.safetensors", "it is a folder"),
        ("file.txt/m.safetensors", "no folder that can be written to"),
    ],
)
def test_what_cannot_be_written_is_refused_before_training(source: str, tmp_path: Path, name: str, why: str) -> None:
    (tmp_path / "folder.safetensors").mkdir()
    (tmp_path / "file.txt").write_text("kept")
    there = sorted(tmp_path.rglob("*"))
    with pytest.raises(UserError, match=why):
        train_student([source], TINY, tmp_path / name, "test", pytest.fail)
    assert sorted(tmp_path.rglob("*")) == there


def test_a_training_that_diverges_ends_with_an_error_and_no_checkpoint(source: str, tmp_path: Path) -> None:
    config = replace(TINY, stages=(Stage(64, epochs=1, batch=4, rate=1e30, warmup=0.0),))
    with pytest.raises(UserError, match=r"diverged.*(loss of epoch 1|coordinates)"):
        train_student([source], config, tmp_path / "m.safetensors", "test", lambda _: None)
    assert not (tmp_path / "m.safetensors").exists()


class _KilledError(Exception):
    pass


@pytest.mark.parametrize("killed_after", [1, 2])
def test_a_killed_run_ends_where_an_unbroken_one_does(faces: list[Face], tmp_path: Path, killed_after: int) -> None:
    """Killed inside a stage and between two: the same weights to the last bit."""
    whole = Trainer(faces, IBUG_68, TINY)
    whole.run()
    epochs = 0

    def kill(report: EpochReport) -> None:
        nonlocal epochs
        epochs += 1
        if epochs == killed_after + 1:  # in the epoch after the last that was kept
            raise _KilledError

    state = tmp_path / "run.state"
    with pytest.raises(_KilledError):
        Trainer(faces, IBUG_68, TINY, state, kill).run()
    resumed = Trainer(faces, IBUG_68, TINY, state)
    resumed.run()
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name


def test_a_state_of_another_configuration_or_a_damaged_one_is_refused(faces: list[Face], tmp_path: Path) -> None:
    state = tmp_path / "run.state"
    one = replace(TINY, stages=TINY.stages[:1])
    Trainer(faces, IBUG_68, one, state).run()
    with pytest.raises(UserError, match="another configuration or other data wrote it"):
        Trainer(faces, IBUG_68, replace(one, seed=1), state).run()
    moved = [replace(faces[0], points=faces[0].points + 1), *faces[1:]]
    with pytest.raises(UserError, match="another configuration or other data wrote it"):
        Trainer(moved, IBUG_68, one, state).run()
    state.write_bytes(b"not a state")
    with pytest.raises(UserError, match="damaged"):
        Trainer(faces, IBUG_68, one, state).run()


def test_a_run_writes_a_checkpoint_and_its_card(source: str, tmp_path: Path) -> None:
    config = replace(TINY, stages=TINY.stages[:1])
    accuracy = train_student([source], config, tmp_path / "tiny.safetensors", "npuface train", lambda _: None)
    _, info = load_student(str(tmp_path / "tiny.safetensors"))
    card = (tmp_path / "tiny.md").read_text()
    assert info.facts["nme"] == accuracy.nme
    assert f"**{accuracy.nme:.2%}** on {accuracy.faces} faces" in card
    assert not (tmp_path / "tiny.state").exists()
    with pytest.raises(UserError, match="0 held out"):
        train_student([source], replace(config, held_out=0.0), tmp_path / "x.safetensors", "", lambda _: None)
    large = replace(config, stages=(Stage(64, epochs=1, batch=32),))
    with pytest.raises(UserError, match="less than one batch of 32"):
        train_student([source], large, tmp_path / "x.safetensors", "", lambda _: None)


def test_a_run_starts_from_a_checkpoint(source: str, faces: list[Face], tmp_path: Path) -> None:
    config = replace(TINY, stages=TINY.stages[:1])
    first = tmp_path / "first.safetensors"
    train_student([source], config, first, "", lambda _: None)
    started = Trainer(faces, IBUG_68, replace(config, start=str(first), seed=1))
    fresh = Trainer(faces, IBUG_68, replace(config, seed=1))
    kept = load_student(str(first))[0].state_dict()
    assert all(torch.equal(weight, kept[name]) for name, weight in started.student.state_dict().items())
    assert not torch.equal(fresh.student.head.heatmaps.weight, kept["head.heatmaps.weight"])
    with pytest.raises(UserError, match="a network of the shape"):
        Trainer(faces, IBUG_68, replace(config, start=str(first), width=0.5))
    with pytest.raises(UserError, match="no such file"):
        Trainer(faces, IBUG_68, replace(config, start="nobody"))


def test_configurations(tmp_path: Path) -> None:
    shipped = read_config(find_config("student-68"))
    assert shipped.stages[-1].input_size == 256
    with pytest.raises(UserError, match="no such file"):
        read_config(find_config("student-69"))
    for text, reason in (("a = [", "not TOML"), ("stages = []", "needs a stage"), ("speed = 1\nstages = []", "speed")):
        (tmp_path / "c.toml").write_text(text)
        with pytest.raises(UserError, match=reason):
            read_config(tmp_path / "c.toml")


def test_a_full_disk_loses_no_progress(faces: list[Face], tmp_path: Path) -> None:
    """The second state does not fit: one clear error, the first is still there, and the run goes on from it."""
    state, limits = tmp_path / "run.state", resource.getrlimit(resource.RLIMIT_FSIZE)
    whole = Trainer(faces, IBUG_68, TINY)
    whole.run()

    def fill(report: EpochReport) -> None:
        if report.epoch == 2:
            resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))

    try:
        with pytest.raises(UserError, match="cannot write"):
            Trainer(faces, IBUG_68, TINY, state, fill).run()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in tmp_path.iterdir()] == ["run.state"]
    resumed = Trainer(faces, IBUG_68, TINY, state)
    resumed.run()
    assert [epoch.epoch for epoch in resumed.history] == [1, 2, 1]
    for name, weight in whole.weights().items():
        assert torch.equal(weight, resumed.weights()[name]), name


def test_a_98_point_student_can_be_trained(data: Path, tmp_path: Path) -> None:
    """The recipe's scheme on real 98-point faces: 15 boundaries, and the loss falls."""
    faces, scheme = read_faces(f"wflw:{data}/wflw/list_98pt_rect_attr.txt")
    recipe = read_config(find_config("student-98"))
    stages = (Stage(64, epochs=4, batch=16, rate=5e-3),)
    config = replace(recipe, stages=stages, width=0.25, depth=2, workers=0, held_out=0.2)
    losses: list[float] = []
    trainer = Trainer(faces, scheme, config, report=lambda epoch: losses.append(epoch.loss))
    trainer.run()
    assert (trainer.student.config.points, trainer.student.config.boundaries) == (98, 15)
    assert losses[-1] < 0.85 * losses[0]
