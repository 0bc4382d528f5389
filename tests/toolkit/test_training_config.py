"""Configurations: those that ship can be read and built, and what is wrong in one is said."""

from __future__ import annotations

from pathlib import Path

import pytest

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.network_cost import multiply_accumulates, parameters
from npuface_toolkit.schemes import IBUG_68, WFLW_98
from npuface_toolkit.student import Student
from npuface_toolkit.training_config import network_shape, read_config, taught
from npuface_toolkit.training_run import find_config
from npuface_toolkit.untrained import write_untrained

# those of detectors and 3D models are other kinds, and have tests of their own
CONFIGS = sorted(
    path.stem
    for path in find_config("student-68").parent.glob("*.toml")
    if not path.stem.startswith(("detector", "face3d"))
)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_shipped_configuration_is_a_network_for_every_stage(name: str) -> None:
    config = read_config(find_config(name))
    shape = network_shape(WFLW_98 if "98" in name else IBUG_68, config)
    assert shape.input_size == config.stages[-1].input_size
    for stage in config.stages:
        assert stage.input_size % 64 == 0


def test_the_light_student_is_light() -> None:
    networks = [
        Student(network_shape(IBUG_68, read_config(find_config(name)))).eval() for name in ("student-68", "light-68")
    ]
    macs, light_macs = map(multiply_accumulates, networks)
    assert light_macs <= macs / 10
    assert parameters(networks[1]) <= 0.4e6


def test_an_untrained_network_says_so(tmp_path: Path) -> None:
    (tmp_path / "tiny.toml").write_text("width = 0.25\ndepth = 2\nstages = [{ input_size = 64, epochs = 1 }]\n")
    write_untrained(str(tmp_path / "tiny.toml"), "wflw-98", tmp_path / "tiny.safetensors")
    network, info = load_student(str(tmp_path / "tiny.safetensors"))
    assert (network.config.points, network.config.boundaries) == (98, 15)
    assert 0 < multiply_accumulates(network) < 1e8
    assert info.facts == {"trained": False}


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
        ('width = "broad"', "width = 'broad' is not a number"),
        ("decode = 3", "decode = 3 is not a text"),
        ("seed = 1.5", "seed = 1.5 is not a whole number"),
        ("workers = true", "workers = True is not a whole number"),
        ("held_out = nan", "held_out = nan is not 0 or more"),
        ("network_labels = 1.5", "network_labels = 1.5 is not in 0..1"),
        ('loss = { edges = "x" }', "loss.edges = 'x' is not a number"),
        ("augmentation = { camera = { blur = -1 } }", "augmentation.camera.blur = -1 is not 0 or more"),
        ("sigma = 0", "sigma = 0 is not above 0"),
        ("ema = 1.0", "ema = 1.0 is not below 1"),
        ("seed = 100000000000000000000", "is not below 2147483648"),
        ("augmentation = { camera = { worst_jpeg = 95 } }", "worst_jpeg = 95 is not below 90"),
        ('decode = "bogus"', "unknown decode form 'bogus'"),
        ('decode = "heatmap-offset"', "takes no heatmaps"),
        ("depth = 9", "depth 9 is not in 1..5"),
    ],
)
def test_what_is_not_known_is_refused(tmp_path: Path, line: str, why: str) -> None:
    (tmp_path / "c.toml").write_text(line + "\nstages = [{ input_size = 64, epochs = 1 }]\n")
    with pytest.raises(UserError, match=why):
        read_config(tmp_path / "c.toml")


@pytest.mark.parametrize(
    ("stage", "why"),
    [
        ("input_size = 64, epochs = 0", r"stages\[0\].epochs = 0 is not above 0"),
        ('input_size = "large", epochs = 1', "input_size = 'large' is not a whole number"),
        ("input_size = 72, epochs = 1 }, { input_size = 128, epochs = 1", "input size 72 is not a multiple of 64"),
        ("input_size = 64, epochs = 1, rate = inf", "rate = inf is not above 0"),
    ],
)
def test_a_stage_that_cannot_be_trained_is_refused(tmp_path: Path, stage: str, why: str) -> None:
    (tmp_path / "c.toml").write_text(f"stages = [{{ {stage} }}]\n")
    with pytest.raises(UserError, match=why):
        read_config(tmp_path / "c.toml")
