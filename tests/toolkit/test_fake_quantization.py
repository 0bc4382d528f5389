"""Quantization-aware training rounds as INT8 does, and leaves the network as it was."""

from __future__ import annotations

import numpy as np
import torch

from npuface_toolkit.faces import Face
from npuface_toolkit.fake_quantization import fake_quantized, round_activations, round_weights
from npuface_toolkit.schemes import IBUG_68
from npuface_toolkit.student import Student, StudentConfig
from npuface_toolkit.train import Trainer
from npuface_toolkit.training_config import Stage, TrainingConfig


def test_weights_are_rounded_to_int8_per_channel() -> None:
    sizes = torch.tensor([1e-3, 1, 50]).view(3, 1, 1, 1)
    weight = torch.randn(3, 2, 3, 3, generator=torch.Generator().manual_seed(0)) * sizes
    rounded = round_weights(weight).numpy()
    for channel, exact in zip(rounded, weight.numpy(), strict=True):
        scale = np.abs(exact).max() / 127
        np.testing.assert_allclose(channel, np.round(exact / scale) * scale, rtol=1e-5)


def test_activations_have_256_levels_and_an_exact_zero() -> None:
    values = torch.linspace(-0.3, 5.9, 5000)
    rounded = round_activations(torch.cat([values, torch.zeros(1)]))
    assert rounded[-1] == 0
    assert 250 <= len(rounded.unique()) <= 256
    assert (
        rounded[:-1] - values
    ).abs().max() <= 6.2 / 255 / 2 * 1.01 + 6.2 / 255 / 2  # half a step; a whole one at the ends


def test_the_network_computes_rounded_and_is_itself_again_afterwards() -> None:
    torch.manual_seed(0)
    student, picture = Student(StudentConfig(64, width=0.25, depth=2)).eval(), torch.randn(1, 3, 64, 64)
    exact = student(picture).heatmaps
    with fake_quantized(student):
        rounded = student(picture).heatmaps
    assert len(rounded.unique()) <= 256 < len(exact.unique())
    assert 0 < (rounded - exact).abs().mean() < 0.2 * exact.std()
    assert torch.equal(student(picture).heatmaps, exact)


def test_training_goes_on_under_it(faces: list[Face]) -> None:
    losses: list[float] = []
    config = TrainingConfig((Stage(64, 8, 4, 1e-2, quantization_aware=True),), width=0.25, depth=2, workers=0, ema=0.0)
    trainer = Trainer(faces, IBUG_68, config, report=lambda epoch: losses.append(epoch.loss))
    trainer.run()
    assert losses[-1] < 0.8 * losses[0]
    assert set(trainer.weights()) == set(Student(trainer.student.config).state_dict())
