"""The loss: what it is made of, and that a teacher teaches on pictures without labels."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import StudentInfo, save_student
from npuface_toolkit.faces import Face
from npuface_toolkit.losses import LossWeights
from npuface_toolkit.objective import Objective
from npuface_toolkit.samples import FaceSamples, Sample
from npuface_toolkit.schemes import IBUG_68, WFLW_98
from npuface_toolkit.student import Student, StudentConfig
from npuface_toolkit.train import Trainer
from npuface_toolkit.training_config import Distillation, Stage, TrainingConfig

CPU = torch.device("cpu")
SHAPE = StudentConfig(64, width=0.25, depth=2)
CONFIG = TrainingConfig((Stage(64, 1, 4),), width=0.25, depth=2, precision="fp32", workers=0)
UNLABELLED = np.zeros(68, np.float32)


def _batch(faces: list[Face], config: TrainingConfig = CONFIG) -> Sample:
    samples = FaceSamples(faces, IBUG_68, 64, config.augmentation, train=False, sigma=1.5)
    return Sample(*(torch.stack(parts) for parts in zip(*samples, strict=True)))  # type: ignore[call-overload]


@pytest.fixture(scope="module")
def teacher(tmp_path_factory: pytest.TempPathFactory) -> str:
    torch.manual_seed(1)
    file = tmp_path_factory.mktemp("teacher") / "teacher.safetensors"
    save_student(file, Student(SHAPE).state_dict(), StudentInfo(SHAPE, "ibug-68"))
    return str(file)


def test_without_labels_and_teacher_there_is_nothing_to_learn(faces: list[Face]) -> None:
    torch.manual_seed(0)
    unknown = [replace(face, weights=UNLABELLED) for face in faces[:2]]
    assert Objective(IBUG_68, CONFIG, CPU, False)(Student(SHAPE), _batch(unknown)).item() == 0


def test_every_coefficient_counts(faces: list[Face], teacher: str) -> None:
    """The loss is the sum of its terms, each in proportion to its coefficient."""
    torch.manual_seed(0)
    student, batch = Student(SHAPE).eval(), _batch(faces[:2])
    silent, dumb = LossWeights(0, 0, 0, 0), Distillation(teacher, 0, 0, 0)

    def loss(supervised: LossWeights, distilled: Distillation) -> float:
        return Objective(IBUG_68, replace(CONFIG, loss=supervised, distillation=distilled), CPU, False)(
            student, batch
        ).item()

    terms = [loss(replace(silent, **{name: 1.0}), dumb) for name in ("edges", "heatmaps", "points", "peaks")]
    terms += [loss(silent, replace(dumb, **{name: 1.0})) for name in ("edges", "heatmaps", "points")]
    assert min(terms) > 0
    whole = loss(LossWeights(2, 3, 4, 5), Distillation(teacher, 6, 7, 8))
    assert whole == pytest.approx(float(np.dot(terms, [2, 3, 4, 5, 6, 7, 8])), rel=1e-4)


def test_a_student_comes_near_its_teacher_on_pictures_without_labels(faces: list[Face], teacher: str) -> None:
    unknown = [replace(face, weights=UNLABELLED) for face in faces]
    config = replace(CONFIG, stages=(Stage(64, 12, 4, 5e-3),), distillation=Distillation(teacher), ema=0.0)
    losses: list[float] = []
    trainer = Trainer(unknown, IBUG_68, config, report=lambda epoch: losses.append(epoch.loss))
    before = [weight.clone() for weight in trainer.objective.teacher.network.state_dict().values()]  # type: ignore[union-attr]
    trainer.run()
    assert losses[-1] < 0.6 * losses[0]
    after = trainer.objective.teacher.network.state_dict().values()  # type: ignore[union-attr]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_a_teacher_of_another_scheme_is_refused(teacher: str) -> None:
    with pytest.raises(UserError, match="ibug-68 landmarks, the data wflw-98"):
        Objective(WFLW_98, replace(CONFIG, distillation=Distillation(teacher)), CPU, False)
