"""The high-resolution backbone: what its branches keep, that all of it learns, and that it is trained and exported like
the student.
"""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from npuface_toolkit.backbones import HIGH_RESOLUTION
from npuface_toolkit.checkpoint import StudentInfo, load_student, save_student
from npuface_toolkit.high_resolution import STAGES, Exchange, HighResolution
from npuface_toolkit.student import Student, StudentConfig

SMALL = StudentConfig(input_size=64, points=68, boundaries=13, width=0.25, backbone=HIGH_RESOLUTION)


def test_every_branch_keeps_its_resolution_and_its_width() -> None:
    widths = (4, 8, 16)
    branches = [torch.randn(2, width, 16 >> i, 16 >> i) for i, width in enumerate(widths)]
    mixed = Exchange(widths).eval()(branches)
    assert [tuple(map_.shape) for map_ in mixed] == [tuple(map_.shape) for map_ in branches]


def test_every_weight_takes_part() -> None:
    network = HighResolution(8, 4, 12)
    out = network(torch.randn(2, 8, 16, 16))
    assert out.shape == (2, 12, 16, 16)
    out.sum().backward()
    assert [name for name, weight in network.named_parameters() if weight.grad is None] == []


def test_the_coarsest_branch_sees_what_the_finest_cannot() -> None:
    """A change in one corner reaches the other end of the map."""
    torch.manual_seed(0)
    network = HighResolution(4, 4, 4).eval()
    picture = torch.randn(1, 4, 32, 32)
    changed = picture.clone()
    changed[..., :4, :4] += 3
    with torch.no_grad():
        difference = (network(changed) - network(picture)).abs().amax(dim=(0, 1))
    assert difference[-8:, -8:].max() > 0


def test_a_checkpoint_brings_the_same_network_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    student, path = Student(SMALL).eval(), tmp_path / "hr.safetensors"
    save_student(path, student.state_dict(), StudentInfo(SMALL, "ibug-68"))
    loaded, info = load_student(str(path))
    assert info.config == SMALL
    picture = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(loaded(picture).heatmaps, student(picture).heatmaps, atol=2e-2)


def test_an_impossible_size() -> None:
    with pytest.raises(ValueError, match=f"input size 40 is not a multiple of {4 << (STAGES - 1)}"):
        StudentConfig(40, backbone=HIGH_RESOLUTION)
