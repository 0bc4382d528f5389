"""Training the 3D face model, on one processor, one GPU, or many of them."""

from __future__ import annotations

import hashlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from accelerate import Accelerator
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.adversary import Adversary
from npuface_toolkit.face3d.batches import Batch, Batches
from npuface_toolkit.face3d.config import Face3dTraining
from npuface_toolkit.face3d.convergence import Convergence
from npuface_toolkit.face3d.face3d_checkpoint import Face3d, new_face3d
from npuface_toolkit.face3d.generator import Rendering
from npuface_toolkit.face3d.head_views import HeadViews
from npuface_toolkit.face3d.objective import terms, weighted
from npuface_toolkit.face3d.photos import Photos
from npuface_toolkit.face3d.pose import rotations
from npuface_toolkit.face3d.rays import RayInputs, ray_inputs
from npuface_toolkit.parts_state import load_run, save_run
from npuface_toolkit.precision import autocasts
from npuface_toolkit.schedule import cosine

_log = logging.getLogger("npuface.train")
_SAVE_EVERY = 250
_REPORT_EVERY = 100


@dataclass(frozen=True)
class _Begun:
    """What a kept state belongs to: a configuration, and the digests of the pictures and of encoder 2."""

    config: Face3dTraining
    pictures: str


def _digest(network: nn.Module) -> str:
    """SHA-256 of a network's weights."""
    found = hashlib.sha256()
    for weights in network.state_dict().values():
        found.update(weights.cpu().reshape(-1).view(torch.uint8).numpy().data)
    return found.hexdigest()


class Networks(nn.Module):
    """Generator and image encoder in one, as they are averaged and saved."""

    def __init__(self, model: Face3d) -> None:
        super().__init__()
        self.generator, self.encoder = model.generator, model.encoder


class Face3dTrainer:
    """Trains a generator, an encoder and their adversary; `run` ends with averaged weights in `result`.

    Started by `accelerate launch`, every process trains on its share of each batch, gradients are averaged over the
    processes, and only the first one reports, draws sheets and keeps the state.

    Args:
        heads, photos: to train on; one of them may be None.
        config: of the run.
        state_file: where the run's state is kept, to resume from; None keeps none.
        identity: the frozen encoder 2; None where the identity term is off.

    Raises:
        UserError: a batch does not divide among the processes.
    """

    def __init__(
        self,
        heads: HeadViews | None,
        photos: Photos | None,
        config: Face3dTraining,
        state_file: Path | None = None,
        identity: nn.Module | None = None,
    ) -> None:
        torch.manual_seed(config.seed)
        self.config, self.state_file = config, state_file
        self._judge = _digest(identity) if identity else ""
        self.accelerator = Accelerator()
        self.device = self.accelerator.device
        # channels last: a step in bfloat16 takes a third of the time on a processor
        self.networks = Networks(new_face3d(config.generator)).to(self.device, memory_format=torch.channels_last)  # type: ignore[call-overload]  # missing in its stubs
        self.adversary = Adversary(config, identity).to(self.device)
        self.average = AveragedModel(self.networks)  # its decay is set in every step
        self.process, self.processes = self.accelerator.process_index, self.accelerator.num_processes
        self.batches = Batches(heads, photos, config, self.process, self.processes)
        self.autocasts = autocasts(config.precision, self.device)
        beside = self.adversary.feature_encoder
        trained = [*self.networks.parameters(), *(beside.parameters() if beside else ())]
        self.optimizer = torch.optim.Adam(trained, config.rate, (0.0 if config.loss.gan else 0.9, 0.99))
        self.adversary_optimizer = torch.optim.Adam(self.adversary.trained(), config.adversary_rate, (0.0, 0.99))
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer, lambda step: cosine(step, config.steps, config.warmup)
        )
        self.convergence = Convergence(config.converge_window, config.converged)
        self.seconds = 0.0

    @property
    def result(self) -> Face3d:
        """A copy of the averaged networks, on the processor."""
        module = deepcopy(cast(Networks, self.average.module)).cpu()
        return Face3d(module.generator.eval(), module.encoder.eval())

    def run(self, sheet: Callable[[Face3d, int], None] | None = None) -> None:
        """Train, from where a kept state left off.

        Args:
            sheet: called every `sheet_every` steps with the averaged networks and the number of steps done.

        Raises:
            UserError: the loss is not finite any more, or the state cannot be read or written, or is that of other
                pictures.
        """
        parts = {name: getattr(self, name) for name in ("networks", "average", "optimizer", "schedule", "convergence")}
        parts |= {"discriminator": self.adversary.discriminator, "adversary_optimizer": self.adversary_optimizer}
        if self.adversary.feature_encoder:
            parts["feature_encoder"] = self.adversary.feature_encoder
        begun = _Begun(self.config, self.batches.digest() + self._judge if self.state_file else "")
        first, before = load_run(self.state_file, begun, parts)
        self.seconds = before
        began, done = time.monotonic(), first
        while not self._is_over(done):
            found = self._step(done)
            done += 1
            _check_finite(found, done)
            self.convergence.step(found.pop("loss"))
            self.seconds = before + time.monotonic() - began
            if self.accelerator.is_main_process:
                if done % _REPORT_EVERY == 0:
                    self._report(done, found, (time.monotonic() - began) / (done - first))
                if done % _SAVE_EVERY == 0 or self._is_over(done):
                    save_run(self.state_file, begun, done, self.seconds, parts)
                if sheet and done % self.config.sheet_every == 0:
                    sheet(self.result, done)

    def _is_over(self, done: int) -> bool:
        return self.convergence.reached or done >= self.config.steps

    def _report(self, done: int, found: dict[str, float], seconds: float) -> None:
        shown = ", ".join(f"{name} {value:.4f}" for name, value in found.items())
        left = (self.config.steps - done) * seconds / 60
        _log.info("step %d/%d: %s, %.0f min left", done, self.config.steps, shown, left)

    def _step(self, step: int) -> dict[str, float]:
        batch = self.batches.draw(step)
        if self.device.type != "cpu":
            batch = Batch(*(getattr(batch, name).to(self.device) for name in batch.__dataclass_fields__))
        random = torch.Generator().manual_seed((self.config.seed * 1_000_003 + step) * self.processes + self.process)
        rays = _channels_last(ray_inputs(rotations(batch.pose), self.config.generator.rays))
        adversarial = self.config.loss.gan > 0 and step >= self.config.gan_from * self.config.steps
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.autocasts):
            found, made = self._generate(batch, rays, random, adversarial)
            total = weighted(found, self.config.loss)
        self._update(self.optimizer, total)
        found["loss"] = total
        self.schedule.step()
        # at first the average is short: it would show the random weights for long
        self.average.multi_avg_fn = get_ema_multi_avg_fn(min(self.config.ema, (step + 1) / (step + 10)))
        self.average.update_parameters(self.networks)
        if adversarial:
            judged = self.adversary.loss(batch.target, made.detach().float(), step)
            self._update(self.adversary_optimizer, judged)
            found["judge"] = judged
        means = self.accelerator.reduce(torch.stack([value.detach().float() for value in found.values()]), "mean")
        return dict(zip(found, means.tolist(), strict=True))

    def _update(self, optimizer: torch.optim.Optimizer, loss: Tensor) -> None:
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        trained = [weight for group in optimizer.param_groups for weight in group["params"]]
        if self.processes > 1:  # by hand: a step calls parts of the networks, which a wrapper around them does not see
            for weight in trained:
                if weight.grad is not None:
                    weight.grad = self.accelerator.reduce(weight.grad, "mean")
        nn.utils.clip_grad_norm_(trained, 5.0)
        optimizer.step()

    def _generate(
        self, batch: Batch, rays: RayInputs, random: torch.Generator, adversarial: bool
    ) -> tuple[dict[str, Tensor], Tensor]:
        """Terms of the loss, and the pictures that the discriminator is shown."""
        generator, encoder = self.networks.generator, self.networks.encoder
        zs, za, guess = encoder(batch.source)
        drawn = [torch.randn(code.shape, generator=random).to(code) for code in (zs, za)]
        if self.config.pairing == "literal":  # random codes stand for every picture
            zs, za = drawn
        rendered: Rendering = generator.render(rays, zs, za)
        found = terms(generator, _in_float(rendered), batch, zs.float(), za.float(), guess.float())
        if self.config.pairing == "literal":
            found = {name: found[name] for name in ("hollow", "pose")}
        if self.config.loss.identity:
            found["identity"] = self.adversary.identity_term(rendered.features.float(), batch.source, batch.source_pose)
        made = rendered.rgb
        if adversarial:
            made = made if self.config.pairing == "literal" else generator(*rays, *drawn)
            found["gan"] = self.adversary.fooled(made.float())
        return found, made


def _check_finite(found: Mapping[str, float], done: int) -> None:
    if not all(math.isfinite(value) for value in found.values()):
        why = f"it is {dict(found)} after {done} steps"
        raise UserError("the loss is not finite any more", why, "train with a lower rate or in fp32")


def _in_float(rendered: Rendering) -> Rendering:
    return Rendering(*(part.float() for part in rendered))


def _channels_last(rays: RayInputs) -> RayInputs:
    return RayInputs(*(part.contiguous(memory_format=torch.channels_last) for part in rays))
