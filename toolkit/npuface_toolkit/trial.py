"""Trials: one question, several configurations, the same schedule and start, several seeds, one table."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from npuface_benchmarks.files import write_all
from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import find_checkpoint
from npuface_toolkit.faces import fingerprint
from npuface_toolkit.training_config import TrainingConfig, as_json
from npuface_toolkit.training_log import EpochReport
from npuface_toolkit.training_run import read_sources, train_student
from npuface_toolkit.trial_file import Trial
from npuface_toolkit.trial_measure import Measured, TrialFaces, measure


@dataclass(frozen=True)
class Result:
    """What one network came to: variant, seed, the decode form it was exported in, and the figures."""

    variant: str
    seed: int
    form: str
    figures: Measured


def run_trial(
    trial: Trial,
    sources: Sequence[str],
    faces: TrialFaces,
    out: Path,
    report: Callable[[str, EpochReport], None] = lambda name, epoch: None,
) -> list[Result]:
    """Train every variant with every seed, then measure them all. What stands in `out` is not done again.

    Args:
        sources: labelled faces to train on, as `npuface train` takes them.
        faces: what to measure and to calibrate on; people in none of the training.
        out: folder of checkpoints and results.
        report: called after every epoch with the network's name.

    Raises:
        UserError: see train_student; or the folder holds a trial with other configurations.
    """
    trained: list[tuple[str, int, Path]] = []
    train = partial(_trained, sources, fingerprint(read_sources(sources)[0]), out, report)
    for seed in trial.seeds:
        start = ""
        if trial.warm is not None:
            start = str(train(f"warm-{seed}", replace(trial.warm, seed=seed)))
        for name, variant in trial.variants.items():
            config = replace(variant.config, seed=seed, start=start or variant.config.start)
            trained.append((name, seed, train(f"{name}-{seed}", config)))
    return [
        Result(name, seed, form, _measured(checkpoint, form, faces, out))
        for name, seed, checkpoint in trained
        for form in trial.variants[name].measured
    ]


def _trained(
    sources: Sequence[str],
    faces: str,
    out: Path,
    report: Callable[[str, EpochReport], None],
    name: str,
    config: TrainingConfig,
) -> Path:
    """The checkpoint of one network, trained now or before; `faces` is the fingerprint of those in the sources."""
    checkpoint, kept = out / f"{name}.safetensors", out / f"{name}.config.json"
    wanted = json.dumps([_config_json(config), faces])
    if checkpoint.is_file() and kept.is_file():
        if kept.read_text() != wanted:
            fix = "name another folder, or delete it"
            raise UserError(
                f"cannot go on in {out}", f"{name} was trained with another configuration or other faces", fix
            )
        return checkpoint
    train_student(sources, config, checkpoint, "npuface trial", lambda epoch: report(name, epoch))
    write_all(out, {kept.name: wanted.encode()})
    return checkpoint


def _config_json(config: TrainingConfig) -> dict[str, Any]:
    """A configuration as plain data, the checkpoints in it by what they hold, wherever they lie."""
    distillation = replace(config.distillation, teacher=_content(config.distillation.teacher))
    plain = as_json(replace(config, start=_content(config.start), distillation=distillation))
    return dict(json.loads(json.dumps(plain)))


def _content(checkpoint: str) -> str:
    return hashlib.sha256(find_checkpoint(checkpoint).read_bytes()).hexdigest()[:16] if checkpoint else ""


def _measured(checkpoint: Path, form: str, faces: TrialFaces, out: Path) -> Measured:
    """The figures of one network on these faces, kept or new."""
    kept = out / f"{checkpoint.stem}.{form}.json"
    known = json.loads(kept.read_text()) if kept.is_file() else {}
    if known.get("faces") == faces.fingerprint:
        return Measured(**known["figures"])
    figures = measure(checkpoint, form, faces)
    write_all(out, {kept.name: json.dumps({"faces": faces.fingerprint, "figures": asdict(figures)}, indent=2).encode()})
    return figures
