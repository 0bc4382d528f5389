"""The bodies of teachers: their sizes, that all of them learns, that they are kept and exported like the student."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from npuface_export.export import export_bundle
from npuface_export.target import target_by_name
from npuface_runtime.manifest import Manifest
from npuface_toolkit.backbones import AWING_HOURGLASS, BACKBONES, RESIDUAL_HOURGLASS
from npuface_toolkit.checkpoint import StudentInfo, save_student
from npuface_toolkit.faces import Face
from npuface_toolkit.network_cost import parameters
from npuface_toolkit.schemes import IBUG_68
from npuface_toolkit.student import Student, StudentConfig
from npuface_toolkit.student_network import student_network
from npuface_toolkit.train import Trainer
from npuface_toolkit.training_config import Stage, TrainingConfig

SMALL = {name: StudentConfig(64, width=0.125, depth=2, backbone=name) for name in BACKBONES}
STACKED = StudentConfig(64, width=0.125, depth=2, backbone=AWING_HOURGLASS, stacks=3)


@pytest.mark.parametrize("config", [*SMALL.values(), STACKED], ids=lambda config: f"{config.backbone}-{config.stacks}")
def test_every_weight_takes_part(config: StudentConfig) -> None:
    network = Student(config)
    out = network(torch.randn(2, 3, 64, 64))
    assert [maps.shape[1:] for maps in (out.edges, out.heatmaps)] == [(13, 16, 16), (68, 16, 16)]
    assert len(out.earlier) == config.stacks - 1
    out.heatmaps.square().sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


@pytest.mark.parametrize("config", [SMALL[RESIDUAL_HOURGLASS], SMALL["u-net"], STACKED], ids=lambda c: c.backbone)
def test_it_is_exported_like_the_student(config: StudentConfig, tmp_path: Path) -> None:
    torch.manual_seed(0)
    file, bundle = tmp_path / "teacher.safetensors", tmp_path / "bundle"
    save_student(file, Student(config).state_dict(), StudentInfo(config, "ibug-68"))
    export_bundle(student_network(str(file)), target_by_name("onnxruntime-cpu"), bundle)
    parity = Manifest.load(bundle).parity
    assert parity is not None
    assert parity["max_abs"] < 1e-3


def test_the_earlier_stacks_are_supervised(faces: list[Face]) -> None:
    """With only the heatmaps in the loss, the first of two stacks comes near the target as well."""
    config = TrainingConfig(
        (Stage(64, 8, 4, 5e-3),), width=0.125, depth=2, backbone=AWING_HOURGLASS, stacks=2, workers=0, ema=0.0
    )
    trainer = Trainer(faces, IBUG_68, config)
    batch = next(iter(trainer._loader(trainer._samples(faces, 64, train=False), 4, seed=0)))

    def error() -> float:
        with torch.no_grad():
            said = trainer.student.train()((batch.picture.permute(0, 3, 1, 2) - 127.5) / 127.5).earlier[0]
        return float((said.edges - batch.edges).square().mean())

    before = error()
    trainer.run()
    assert error() < 0.5 * before


def test_the_stacked_hourglass_has_the_published_size() -> None:
    """24.15 million parameters are published for "Adaptive Wing Loss", its coordinate channels among them."""
    network = Student(StudentConfig(points=98, boundaries=1, backbone=AWING_HOURGLASS, stacks=4))
    assert parameters(network) == pytest.approx(24.15e6, rel=0.02)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"backbone": "resnet"}, f"backbone 'resnet' is none of {', '.join(BACKBONES)}"),
        ({"stacks": 4}, "4 stacks of mobile-hourglass: only residual-hourglass, awing-hourglass can be stacked"),
        ({"backbone": RESIDUAL_HOURGLASS, "stacks": 0}, "0 stacks"),
        ({"backbone": "u-net", "input_size": 72, "depth": 3}, "input size 72 is not a multiple of 32"),
    ],
)
def test_impossible_shapes(change: dict[str, int | str], why: str) -> None:
    with pytest.raises(ValueError, match=re.escape(why)):
        replace(StudentConfig(), **change)
