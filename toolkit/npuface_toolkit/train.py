"""The trainer: supervised training of a landmark network in stages of growing input size."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.faces import Face, split_by_identity
from npuface_toolkit.heatmaps import landmark_heatmaps
from npuface_toolkit.losses import heatmap_loss, peak_loss, point_loss, weighted_mean
from npuface_toolkit.metrics import Accuracy, face_errors, summarise
from npuface_toolkit.precision import autocasts
from npuface_toolkit.predict import predict_cells
from npuface_toolkit.resume import RunState, load_state, save_state
from npuface_toolkit.samples import FaceSamples, Sample, normalise
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.student import STRIDE, Student, StudentConfig
from npuface_toolkit.training_config import Stage, TrainingConfig, as_json


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to: where it stands, its mean loss, and the held-out accuracy of the averaged weights."""

    stage: int
    epoch: int
    epochs: int
    loss: float
    seconds: float
    held_out: Accuracy | None


class Trainer:
    """Trains a student; `run` ends with averaged weights in `self.average`.

    Args:
        faces: labelled faces; the identities that `config.held_out` picks are only measured on. Faces with weights,
            which another network labelled, are all trained on.
        state_file: where the run's state is kept after every epoch, to resume from; None keeps none.
        report: called after every epoch.
    """

    def __init__(
        self,
        faces: list[Face],
        scheme: Scheme,
        config: TrainingConfig,
        state_file: Path | None = None,
        report: Callable[[EpochReport], None] = lambda _: None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.scheme, self.config, self.state_file, self.report = scheme, config, state_file, report
        labelled = [face for face in faces if face.weights is None]  # what a network labelled measures nothing
        self.training, self.held_out = split_by_identity(labelled, config.held_out)
        self.training += [face for face in faces if face.weights is not None]
        self.form = form_by_name(config.decode)
        self.autocast = autocasts(config.precision)
        self.seconds = 0.0
        shape = StudentConfig(
            config.stages[-1].input_size,
            scheme.points,
            len(scheme.boundaries),
            config.width,
            config.depth,
            config.stem,
            config.features,
            config.compensation,
            config.backbone,
        )
        student = Student(shape)
        if config.start:
            _start_from(student, config.start)
        self.student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
        # the batch-norm statistics are the student's own: averaging them as well breaks the averaged network
        self.average = AveragedModel(self.student, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=False)

    def run(self) -> None:
        """Train every stage, from where a kept state left off."""
        state = load_state(self.state_file, as_json(self.config)) if self.state_file else None
        first = state.stage if state else 0
        if state:
            self.seconds = state.seconds
            self.student.load_state_dict(state.tensors["student"])
            self.average.load_state_dict(state.tensors["average"])
        for number in range(first, len(self.config.stages)):
            self._run_stage(number, state if number == first else None)

    def _run_stage(self, number: int, state: RunState | None) -> None:
        stage = self.config.stages[number]
        how = self.config.augmentation
        common: dict[str, Any] = {"sigma": self.config.sigma, "seed": self.config.seed + number}
        samples = FaceSamples(self.training, self.scheme, stage.input_size, how, train=True, **common)
        held_out = FaceSamples(self.held_out, self.scheme, stage.input_size, how, train=False, **common)
        optimizer = torch.optim.AdamW(self.student.parameters(), lr=stage.rate, weight_decay=self.config.weight_decay)
        steps = stage.epochs * (len(samples) // stage.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: _cosine(step, steps, stage.warmup))
        start = state.epoch if state else 0
        if state and start:  # a stage that has not begun starts with an optimizer of its own
            optimizer.load_state_dict(state.tensors["optimizer"])
            schedule.load_state_dict(state.tensors["schedule"])
        for epoch in range(start, stage.epochs):
            began = time.monotonic()
            samples.epoch = epoch
            loss = self._run_epoch(samples, stage, optimizer, schedule, epoch)
            seconds = time.monotonic() - began
            self.seconds += seconds
            last = epoch + 1 == stage.epochs
            accuracy = self.measure(held_out) if len(held_out) and (last or epoch % 5 == 4) else None
            self.report(EpochReport(number, epoch + 1, stage.epochs, loss, seconds, accuracy))
            if self.state_file:
                at = (number + 1, 0) if last else (number, epoch + 1)
                parts = {"student": self.student, "average": self.average, "optimizer": optimizer, "schedule": schedule}
                tensors = {name: part.state_dict() for name, part in parts.items()}
                save_state(self.state_file, RunState(*at, self.seconds, tensors), as_json(self.config))

    def _run_epoch(
        self,
        samples: FaceSamples,
        stage: Stage,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        epoch: int,
    ) -> float:
        self.student.train()
        order = torch.Generator().manual_seed(self.config.seed * 1000 + epoch)
        workers = self.config.workers
        loader = DataLoader(samples, stage.batch, True, drop_last=True, num_workers=workers, generator=order)
        total = 0.0
        for batch in loader:
            loss = self._loss(Sample(*batch))
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            self.average.update_parameters(self.student)
            total += loss.item()
        return total / max(1, len(loader))

    def _loss(self, batch: Sample) -> Tensor:
        loss = self.config.loss
        with torch.autocast("cpu", torch.bfloat16, enabled=self.autocast):
            out = self.student(normalise(batch.picture))
        heatmaps = out.heatmaps.float()
        cells = heatmaps.shape[-1]
        target = landmark_heatmaps(batch.points, cells, self.config.sigma)
        points = (self.form.training_points or self.form.points)(heatmaps, self.spec(cells))
        known = batch.weights
        return (
            loss.edges * weighted_mean(heatmap_loss(out.edges, batch.edges), batch.edge_weights)
            + loss.heatmaps * weighted_mean(heatmap_loss(heatmaps, target), known)
            + loss.peaks * weighted_mean(peak_loss(heatmaps, target), known)
            + loss.points * weighted_mean(point_loss(points, batch.points, cells), known)
        )

    def spec(self, cells: int) -> HeatmapSpec:
        """What the decode form is built for at that heatmap size."""
        config = self.config
        return HeatmapSpec(self.scheme.points, cells, cells, config.beta or 20.0, config.threshold, config.sigma)

    def measure(self, samples: FaceSamples) -> Accuracy:
        """Accuracy of the averaged weights."""
        predicted, truth = predict_cells(self.average, samples, self.form, self.spec(samples.size // STRIDE))
        return summarise(face_errors(predicted, truth, self.scheme), self.scheme.points)

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights, as a checkpoint holds them."""
        return dict(self.average.module.state_dict())


def _start_from(student: Student, checkpoint: str) -> None:
    """Take the weights of a checkpoint, trained at whatever input size.

    Raises:
        UserError: it cannot be opened, or is a network of another shape.
    """
    other, _ = load_student(checkpoint)
    if replace(other.config, input_size=student.config.input_size) != student.config:
        raise UserError(
            f"cannot start from {checkpoint}",
            f"it is a network of the shape {other.config}, the configuration says {student.config}",
            "give a checkpoint of the same width, depth and landmark scheme",
        )
    student.load_state_dict(other.state_dict())


def _cosine(step: int, steps: int, warmup: float) -> float:
    rise = max(1, int(steps * warmup))
    if step < rise:
        return (step + 1) / rise
    return 0.5 * (1 + math.cos(math.pi * min(1.0, (step - rise) / max(1, steps - rise)))) + 1e-3
