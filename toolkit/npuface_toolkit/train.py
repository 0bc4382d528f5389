"""The trainer: a landmark network in stages of growing input size, on one processor, one GPU, or many of them."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.epoch_batches import EpochBatches
from npuface_toolkit.faces import Face, fingerprint, split_by_identity, trusted
from npuface_toolkit.fake_quantization import fake_quantized
from npuface_toolkit.landmark_state import RunState, load_state, save_state
from npuface_toolkit.metrics import Accuracy, face_errors, summarise
from npuface_toolkit.objective import Objective
from npuface_toolkit.pose_balance import balanced
from npuface_toolkit.precision import autocasts
from npuface_toolkit.predict import predict_cells
from npuface_toolkit.samples import FaceSamples, Sample
from npuface_toolkit.schedule import cosine
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.student import STRIDE, Student
from npuface_toolkit.training_config import Stage, TrainingConfig, as_json, network_shape
from npuface_toolkit.training_log import EpochReport


class Trainer:
    """Trains a network; `run` ends with averaged weights in `self.average`.

    Started by `accelerate launch`, every process trains on its share of each batch and only the first one reports,
    measures and keeps the state.

    Args:
        faces: labelled faces; the identities that `config.held_out` picks are only measured on. Faces with weights,
            which another network labelled, are all trained on.
        state_file: where the run's state is kept after every epoch, to resume from; None keeps none.
        report: called after every epoch.

    Raises:
        UserError: a batch does not divide among the processes, or the checkpoint to start or to learn from is wrong;
            `run` as well: the training diverges, or the state is damaged or of another configuration or other faces.
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
        self.accelerator = Accelerator()
        self.scheme, self.config, self.state_file, self.report = scheme, config, state_file, report
        self._check_batches()
        self._kept_with = as_json(config) | {"faces": fingerprint(faces)}
        self.training, self.held_out = split_by_identity(trusted(faces, config.network_labels), config.held_out)
        device = self.accelerator.device
        self.objective = Objective(scheme, config, device, autocasts(config.precision, device))
        student = Student(network_shape(scheme, config))
        if config.start:
            _start_from(student, config.start)
        self.student = student.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
        self.parallel: nn.Module = self.accelerator.prepare_model(self.student)
        # the batch-norm statistics are the student's own: averaging them as well breaks the averaged network
        self.average = AveragedModel(self.student, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=False)
        self.seconds = 0.0
        self.history: list[EpochReport] = []

    def _check_batches(self) -> None:
        processes = self.accelerator.num_processes
        for stage in self.config.stages:
            if stage.batch % processes:
                why = f"a batch of {stage.batch} faces does not divide among {processes} processes"
                raise UserError("cannot train", why, f"make the batch a multiple of {processes}")

    def run(self) -> None:
        """Train every stage, from where a kept state left off."""
        state = load_state(self.state_file, self._kept_with) if self.state_file else None
        first = state.stage if state else 0
        if state:
            self.seconds, self.history = state.seconds, state.history
            self.student.load_state_dict(state.tensors["student"])
            self.average.load_state_dict(state.tensors["average"])
        for number in range(first, len(self.config.stages)):
            self._run_stage(number, state if number == first else None)

    def _run_stage(self, number: int, state: RunState | None) -> None:
        stage = self.config.stages[number]
        shown = balanced(self.training, self.scheme, self.config.balance)
        samples = self._samples(shown, stage.input_size, train=True, seed=self.config.seed + number)
        held_out = self._samples(self.held_out, stage.input_size, train=False)
        optimizer = torch.optim.AdamW(self.student.parameters(), lr=stage.rate, weight_decay=self.config.weight_decay)
        steps = stage.epochs * (len(samples) // stage.batch)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: cosine(step, steps, stage.warmup))
        start = state.epoch if state else 0
        if state and start:  # a stage that has not begun starts with an optimizer of its own
            optimizer.load_state_dict(state.tensors["optimizer"])
            schedule.load_state_dict(state.tensors["schedule"])
        with fake_quantized(self.student) if stage.quantization_aware else nullcontext():
            for epoch in range(start, stage.epochs):
                began = time.monotonic()
                samples.epoch = epoch
                loss = self._run_epoch(samples, stage, optimizer, schedule, epoch)
                seconds = time.monotonic() - began
                self.seconds += seconds
                if self.accelerator.is_main_process:
                    self._finish_epoch(number, epoch, loss, seconds, held_out)
                    self._keep(number, epoch, {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()})
                self.accelerator.wait_for_everyone()

    def _samples(self, faces: list[Face], size: int, *, train: bool, seed: int = 0) -> FaceSamples:
        config = self.config
        return FaceSamples(faces, self.scheme, size, config.augmentation, train=train, sigma=config.sigma, seed=seed)

    def _finish_epoch(self, number: int, epoch: int, loss: float, seconds: float, held_out: FaceSamples) -> None:
        epochs = self.config.stages[number].epochs
        due = len(held_out) and (epoch + 1 == epochs or epoch % 5 == 4)
        accuracy = self.measure(held_out) if due else None
        self.history.append(EpochReport(number, epoch + 1, epochs, loss, seconds, accuracy))
        self.report(self.history[-1])

    def _keep(self, number: int, epoch: int, tensors: dict[str, dict[str, Any]]) -> None:
        if self.state_file is None:
            return
        last = epoch + 1 == self.config.stages[number].epochs
        at = (number + 1, 0) if last else (number, epoch + 1)
        tensors |= {"student": self.student.state_dict(), "average": self.average.state_dict()}
        save_state(self.state_file, RunState(*at, self.seconds, self.history, tensors), self._kept_with)

    def _run_epoch(
        self,
        samples: FaceSamples,
        stage: Stage,
        optimizer: torch.optim.Optimizer,
        schedule: torch.optim.lr_scheduler.LambdaLR,
        epoch: int,
    ) -> float:
        self.parallel.train()
        total = 0.0
        loader = self._loader(samples, stage.batch, self.config.seed * 1000 + epoch)
        for batch in loader:
            loss = self.objective(self.parallel, Sample(*(part.to(self.accelerator.device) for part in batch)))
            optimizer.zero_grad(set_to_none=True)
            self.accelerator.backward(loss)
            nn.utils.clip_grad_norm_(self.student.parameters(), 5.0)
            optimizer.step()
            schedule.step()
            self.average.update_parameters(self.student)
            total += float(self.accelerator.reduce(loss.detach(), "mean"))
        if not math.isfinite(total):
            raise diverged(f"the loss of epoch {epoch + 1} is not finite")
        return total / max(1, len(loader))

    def _loader(self, samples: FaceSamples, batch: int, seed: int) -> DataLoader[Sample]:
        """An epoch's batches, of each the share of this process."""
        mine, processes = self.accelerator.process_index, self.accelerator.num_processes
        batches = EpochBatches(len(samples), batch, seed, mine, processes)
        return DataLoader(samples, batch_sampler=batches, num_workers=self.config.workers)

    def measure(self, samples: FaceSamples) -> Accuracy:
        """Accuracy of the averaged weights."""
        form, spec = self.objective.form, self.objective.spec(samples.size // STRIDE)
        predicted, truth = predict_cells(self.average, samples, lambda heatmaps: form.points(heatmaps, spec))
        return summarise(face_errors(predicted, truth, self.scheme), self.scheme.points)

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights, as a checkpoint holds them."""
        return dict(self.average.module.state_dict())


def diverged(why: str) -> UserError:
    """What a user is told of a training that came to nothing."""
    return UserError("the training diverged", why, "lower `rate` in the configuration, and name another output")


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
