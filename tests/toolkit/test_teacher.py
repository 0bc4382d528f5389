"""A teacher of a larger size: its maps and points on the student's grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import StudentInfo, save_student
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face, split_by_identity
from npuface_toolkit.heatmaps import boundary_heatmaps, landmark_heatmaps
from npuface_toolkit.losses import energy_loss
from npuface_toolkit.samples import FaceSamples, normalise
from npuface_toolkit.schemes import IBUG_68
from npuface_toolkit.student import Student, StudentConfig
from npuface_toolkit.teacher import Teacher, coarser
from npuface_toolkit.training_config import Distillation, Stage, TrainingConfig

CPU = torch.device("cpu")
SIGMA = 1.5


def _config(teacher: str, size: int) -> TrainingConfig:
    return TrainingConfig((Stage(64, 1), Stage(size, 1)), distillation=Distillation(teacher))


@pytest.mark.parametrize(("fine", "coarse", "limit"), [(64, 32, 0.08), (64, 16, 0.2), (64, 48, 0.05)])
def test_peaks_and_ridges_keep_their_height_and_their_width_in_cells(
    fine: int, coarse: int, limit: float, faces: list[Face]
) -> None:
    def cells(size: int) -> torch.Tensor:
        how = TrainingConfig((Stage(64, 1),)).augmentation
        return FaceSamples(faces[:1], IBUG_68, 4 * size, how, train=False, sigma=SIGMA)[0].points

    there, here = cells(fine), cells(coarse)
    peaks = coarser(landmark_heatmaps(there[None], fine, SIGMA), coarse, SIGMA, SIGMA, across=2)
    assert energy_loss(peaks, landmark_heatmaps(here[None], coarse, SIGMA)).max() < 0.01
    edges = torch.from_numpy(boundary_heatmaps(there.numpy(), IBUG_68, fine, SIGMA))[None]
    wanted = torch.from_numpy(boundary_heatmaps(here.numpy(), IBUG_68, coarse, SIGMA))[None]
    # a boundary bends and ends, where it is no ridge
    ridges, as_peaks = (energy_loss(coarser(edges, coarse, SIGMA, SIGMA, across), wanted).mean() for across in (1, 2))
    assert ridges < limit
    assert as_peaks > 1.5 * ridges, "a boundary would stand too high"


def test_the_full_student_teaches_smaller_pictures(data: Path) -> None:
    """On faces that it never saw its answers are as near to the labels as at its own size, on the student's grid."""
    unseen = split_by_identity(read_faces(f"points:{data}/p1/test_frames_keypoints.csv:{data}/p1/test")[0], 0.2)[1]
    config = _config("student-68", 128)
    teacher = Teacher(IBUG_68, config, CPU, autocast=False)

    def shown(size: int) -> list[torch.Tensor]:
        samples = FaceSamples(unseen[:16], IBUG_68, size, config.augmentation, train=False, sigma=SIGMA)
        return [torch.stack(parts) for parts in zip(*samples, strict=True)]  # type: ignore[call-overload]

    batch, own = shown(128), shown(256)
    maps, points = teacher(normalise(batch[0]))
    off = torch.linalg.vector_norm(points - batch[1], dim=-1).mean()
    off_at_own_size = torch.linalg.vector_norm(teacher(normalise(own[0]))[1] - own[1], dim=-1).mean() / 2
    assert off < 1.03 * off_at_own_size
    assert off < 0.05 * 32 / 2, "the eyes are about half the crop apart"
    assert energy_loss(maps.heatmaps, landmark_heatmaps(batch[1], 32, SIGMA)).mean() < 0.3
    assert energy_loss(maps.edges, batch[2]).mean() < 0.3


def test_a_teacher_of_its_own_size_is_taken_as_it_is(tmp_path: Path) -> None:
    torch.manual_seed(0)
    shape = StudentConfig(64, width=0.25, depth=2)
    network = Student(shape).eval()
    save_student(tmp_path / "own.safetensors", network.state_dict(), StudentInfo(shape, "ibug-68"))
    teacher = Teacher(IBUG_68, _config(str(tmp_path / "own.safetensors"), 64), CPU, autocast=False)
    pictures = normalise(torch.from_numpy(np.random.default_rng(0).integers(0, 255, (2, 64, 64, 3), np.uint8)))
    said = network(pictures)
    assert torch.allclose(teacher(pictures)[0].heatmaps, said.heatmaps, atol=1e-5)
    assert torch.allclose(teacher(pictures)[0].edges, said.edges, atol=1e-5)


def test_a_teacher_for_smaller_pictures_is_refused(tmp_path: Path) -> None:
    shape = StudentConfig(64, width=0.25, depth=2)
    save_student(tmp_path / "small.safetensors", Student(shape).state_dict(), StudentInfo(shape, "ibug-68"))
    config = _config(str(tmp_path / "small.safetensors"), 128)
    with pytest.raises(UserError, match="it is for 64 px, the student for 128"):
        Teacher(IBUG_68, config, CPU, autocast=False)
