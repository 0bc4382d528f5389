"""Training the face detector, on one processor or GPU."""

from __future__ import annotations

import logging
import math
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from npuface_toolkit.detector.boxes import BoxedPicture, fingerprint
from npuface_toolkit.detector.config import DetectorTraining
from npuface_toolkit.detector.losses import box_loss, focal_loss
from npuface_toolkit.detector.network import FaceDetector, boxes_of
from npuface_toolkit.detector.scenes import Scenes
from npuface_toolkit.detector.targets import Targets
from npuface_toolkit.parts_state import load_run, save_run
from npuface_toolkit.precision import autocasts
from npuface_toolkit.samples import normalise
from npuface_toolkit.schedule import cosine
from npuface_toolkit.train import diverged

_log = logging.getLogger("npuface.train")


@dataclass(frozen=True)
class _Begun:
    """What a run's state is of."""

    config: DetectorTraining
    pictures: str


class DetectorTrainer:
    """Trains a detector; `run` ends with averaged weights in `average`.

    Args:
        pictures: to train on.
        config: of the run.
        state_file: where the run's state is kept after every epoch, to resume from; None keeps none.

    Raises:
        UserError: `run` alone: the loss is not finite any more, or the state is damaged, or of another configuration or
            other pictures.
    """

    def __init__(self, pictures: list[BoxedPicture], config: DetectorTraining, state_file: Path | None = None) -> None:
        torch.manual_seed(config.seed)
        self.config, self.state_file = config, state_file
        self._begun = _Begun(config, fingerprint(pictures))
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.network = FaceDetector(config.network).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
        self.average = AveragedModel(self.network, multi_avg_fn=get_ema_multi_avg_fn(config.ema), use_buffers=False)
        self.scenes = Scenes(pictures, config.network, config.augmentation, config.pictures, config.seed)
        self.autocasts = autocasts(config.precision, self.device)
        self.optimizer = torch.optim.AdamW(self.network.parameters(), lr=config.rate, weight_decay=config.weight_decay)
        steps = config.epochs * (config.pictures // config.batch)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: cosine(step, steps, config.warmup)
        )
        self.seconds = 0.0

    def run(self) -> None:
        """Train, from where a kept state left off."""
        parts = {"network": self.network, "average": self.average}
        parts |= {"optimizer": self.optimizer, "schedule": self.schedule}
        first, self.seconds = load_run(self.state_file, self._begun, parts)
        for epoch in range(first, self.config.epochs):
            began = time.monotonic()
            loss = self._epoch(epoch)
            if not math.isfinite(loss):
                raise diverged(f"the loss of epoch {epoch + 1} is not finite")
            seconds = time.monotonic() - began
            self.seconds += seconds
            left = (self.config.epochs - epoch - 1) * seconds / 60
            _log.info("epoch %d/%d: loss %.3f, %.0f min left", epoch + 1, self.config.epochs, loss, left)
            save_run(self.state_file, self._begun, epoch + 1, self.seconds, parts)

    def _epoch(self, epoch: int) -> float:
        self.network.train()
        self.scenes.epoch = epoch
        loader: DataLoader[Any] = DataLoader(
            self.scenes, self.config.batch, num_workers=self.config.workers, drop_last=True
        )
        total = 0.0
        for pictures, targets in loader:
            loss = self._loss(pictures.to(self.device), Targets(*(part.to(self.device) for part in targets)))
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), 5.0)
            self.optimizer.step()
            self.schedule.step()
            self.average.update_parameters(self.network)
            total += float(loss.detach())
        return total / len(loader)

    def _loss(self, pictures: Tensor, targets: Any) -> Tensor:
        """Of a batch: pictures uint8 [N, H, W, 3], and Targets whose parts are tensors."""
        entering = normalise(pictures).contiguous(memory_format=torch.channels_last)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocasts):
            maps = self.network(entering)
        scores = focal_loss(maps[:, 0].float(), targets.peaks, targets.counted)
        return scores + self.config.box * box_loss(boxes_of(maps), targets.boxes, targets.weights)

    def weights(self) -> dict[str, Tensor]:
        """The averaged weights, with the batch-norm statistics of the network."""
        return dict(self.average.module.state_dict())
