"""What a training run came to, epoch by epoch: TensorBoard events and a plot beside the checkpoint."""

from __future__ import annotations

import io
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from npuface_benchmarks.files import write_all
from npuface_toolkit.metrics import Accuracy


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to: where it stands, its mean loss, and the held-out accuracy of the averaged weights."""

    stage: int
    epoch: int
    epochs: int
    loss: float
    seconds: float
    held_out: Accuracy | None


class TrainingLog:
    """Writes TensorBoard events to a folder as the run goes on (`tensorboard --logdir FOLDER`)."""

    def __init__(self, folder: Path) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(str(folder))

    def write(self, epoch: EpochReport, number: int) -> None:
        """One epoch, the run's `number`th over all stages."""
        values = {"loss": epoch.loss, "seconds": epoch.seconds}
        if epoch.held_out:
            values |= {"held-out NME": epoch.held_out.nme, "held-out failure rate": epoch.held_out.failure_rate}
        for name, value in values.items():
            self._writer.add_scalar(name, value, number)
        self._writer.flush()


def write_training_plot(history: Sequence[EpochReport], file: Path) -> None:
    """Loss and held-out NME over the epochs of a run, as a PNG; stages are told apart by a line between them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4), layout="constrained")
    axes = figure.subplots()
    numbers = range(1, len(history) + 1)
    axes.plot(numbers, [epoch.loss for epoch in history], color="tab:blue")
    axes.set(xlabel="epoch", ylim=(0, None))
    axes.set_ylabel("training loss", color="tab:blue")
    measured = {number: epoch.held_out.nme for number, epoch in enumerate(history, start=1) if epoch.held_out}
    if measured:
        right = axes.twinx()
        right.plot(list(measured), [nme * 100 for nme in measured.values()], "o-", color="tab:orange")
        right.set(ylim=(0, None))
        right.set_ylabel("held-out NME, %", color="tab:orange")
    for number, (one, other) in enumerate(itertools.pairwise(history), start=1):
        if one.stage != other.stage:
            axes.axvline(number + 0.5, color="grey", linestyle=":")
    data = io.BytesIO()
    figure.savefig(data, format="png", dpi=120)
    write_all(file.parent, {file.name: data.getvalue()})
