"""A run ends where its loss has stopped falling, and a killed one does so at the same step."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from small import SHAPE, TRAINING

from npuface_toolkit.face3d import train
from npuface_toolkit.face3d.convergence import Convergence
from npuface_toolkit.face3d.head_views import HeadViews, make_views, stacked
from npuface_toolkit.face3d.train import Face3dTrainer


def steps_until(rule: Convergence, losses: list[float]) -> int | None:
    for loss in losses:
        rule.step(loss)
        if rule.reached:
            return rule.steps
    return None


def test_a_falling_loss_goes_on_and_a_flat_one_ends() -> None:
    falling = [0.98**step for step in range(100)]
    assert steps_until(Convergence(10, 0.05), falling) is None
    assert (
        steps_until(Convergence(10, 0.05), falling[:35] + [falling[35]] * 65) == 50
    )  # half of 30 to 40 was flat already
    assert steps_until(Convergence(10, 0.3), falling) == 20
    assert steps_until(Convergence(10, 0.0), [1.0] * 100) is None


def test_noise_within_a_stretch_does_not_end_it() -> None:
    noisy = [0.99**step + (0.5 if step % 2 else -0.5) for step in range(100)]
    assert steps_until(Convergence(10, 0.05), noisy) is None


@pytest.fixture(scope="module")
def heads() -> HeadViews:
    return stacked(list(make_views(3, 2, SHAPE.size, 1, 45, 20)))


def test_a_killed_run_converges_where_the_whole_run_does(
    heads: HeadViews, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train, "_SAVE_EVERY", 1)
    config = replace(TRAINING, steps=20, converge_window=2, converged=0.01)
    losses = [8.0, 6.0, 5.0, 4.0, 3.0, 3.0, 3.0, 3.0, 3.0]

    def run(killed_at: int | None) -> Face3dTrainer:
        trainer = Face3dTrainer(heads, None, config, tmp_path / "run.state")

        def step(number: int) -> dict[str, float]:
            if number == killed_at:
                raise KeyboardInterrupt
            return {"loss": losses[number]}

        monkeypatch.setattr(trainer, "_step", step)
        trainer.run()
        return trainer

    with pytest.raises(KeyboardInterrupt):
        run(5)
    assert run(None).convergence.steps == 8
    again = run(0)  # which takes no step: it has converged
    assert (again.convergence.steps, again.convergence.reached) == (8, True)
