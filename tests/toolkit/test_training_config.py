"""Configurations: those that ship can be read and built, and what is wrong in one is said."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from npuface_runtime.errors import UserError
from npuface_toolkit.schemes import IBUG_68, WFLW_98
from npuface_toolkit.student import Student
from npuface_toolkit.train import _shape
from npuface_toolkit.training_config import TrainingConfig, read_config, taught
from npuface_toolkit.training_run import find_config

CONFIGS = sorted(path.stem for path in find_config("student-68").parent.glob("*.toml"))


def _cost(config: TrainingConfig) -> tuple[float, float]:
    """Multiply-accumulates and parameters of a configuration's network with 68 points, in millions."""
    network = Student(_shape(IBUG_68, config)).eval()
    size = network.config.input_size
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(torch.zeros(1, 3, size, size))
    return counter.get_total_flops() / 2e6, sum(weight.numel() for weight in network.parameters()) / 1e6


@pytest.mark.parametrize("name", CONFIGS)
def test_a_shipped_configuration_is_a_network_for_every_stage(name: str) -> None:
    config = read_config(find_config(name))
    shape = _shape(WFLW_98 if "98" in name else IBUG_68, config)
    assert shape.input_size == config.stages[-1].input_size
    for stage in config.stages:
        assert stage.input_size % 64 == 0


def test_the_light_student_is_light() -> None:
    (macs, _), (light_macs, light_parameters) = (_cost(read_config(find_config(n))) for n in ("student-68", "light-68"))
    assert light_macs <= macs / 10
    assert light_parameters <= 0.4


def test_a_teacher_can_be_named_beside_the_configuration() -> None:
    config = read_config(find_config("student-68"))
    assert taught(config, None) == config
    assert not config.distillation.active
    assert taught(config, "t.safetensors").distillation.active


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('loss = { heatmap_loss = "hinge" }', "heatmap_loss 'hinge' is none of energy, adaptive-wing"),
        ("distillation = { teachers = 2 }", "teachers"),
        ("augmentation = { camera = { fog = 1 } }", "fog"),
        ("augmentation = { blur = 0.1 }", "blur"),
        ("colour = 3", "colour"),
        ('precision = "fp8"', "precision bf16 or fp32"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "c.toml").write_text(line + "\nstages = [{ input_size = 64, epochs = 1 }]\n")
    with pytest.raises(UserError, match=why):
        read_config(tmp_path / "c.toml")
