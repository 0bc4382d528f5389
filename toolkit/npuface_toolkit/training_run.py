"""A whole training run: labelled faces in, checkpoint and model card out."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

from npuface_benchmarks.files import check_writable, write_all
from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import StudentInfo, load_student, rounded, save_student
from npuface_toolkit.face_files import one_scheme, read_faces
from npuface_toolkit.faces import Face, fingerprint
from npuface_toolkit.fit_beta import fit_beta
from npuface_toolkit.metrics import Accuracy
from npuface_toolkit.model_card import model_card
from npuface_toolkit.samples import FaceSamples
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.train import Trainer, diverged
from npuface_toolkit.training_config import TrainingConfig, as_json
from npuface_toolkit.training_log import EpochReport, TrainingLog, write_training_plot
from npuface_toolkit.training_machine import machine_of

_CONFIGS = Path(__file__).parent / "configs"
_BETA_FACES = 200

LIMITS = """\
It knows what its training data shows: poses, ages, occlusion and light that are rare there it finds worse, and what is
wrong in the labels it repeats. Measure on your own pictures before you rely on it; it must not be used to identify
people."""


def find_config(name: str) -> Path:
    """The file of a configuration: a path, or the name of a shipped one such as `student-68`."""
    shipped = _CONFIGS / f"{name}.toml"
    return shipped if "/" not in name and shipped.is_file() else Path(name)


def read_sources(sources: Sequence[str]) -> tuple[list[Face], Scheme]:
    """All faces of several data sources, which must share a landmark scheme.

    Raises:
        UserError: a source cannot be read, or the schemes differ.
    """
    read = [read_faces(source) for source in sources]
    return [face for faces, _ in read for face in faces], one_scheme(scheme for _, scheme in read)


def train_student(
    sources: Sequence[str], config: TrainingConfig, out: Path, command: str, report: Callable[[EpochReport], None]
) -> Accuracy | None:
    """Train, and write `out` (safetensors), its model card, a plot of the run (.png) and TensorBoard events (.logs)
    beside it. A killed run goes on when called again.

    Returns:
        The held-out accuracy of what was written; None in every process but the first, which alone writes.

    Raises:
        UserError: data or configuration are wrong, nobody is held out, there is less than a batch to train on, the
            training diverges, or a file cannot be written.
    """
    check_out(out)
    faces, scheme = read_sources(sources)
    state_file = out.with_suffix(".state")
    trainer = Trainer(faces, scheme, config, state_file)
    _check_faces(trainer)
    if trainer.accelerator.is_main_process:
        trainer.report = _reporter(trainer, out, report)
    trainer.run()
    if not trainer.accelerator.is_main_process:
        return None
    info, accuracy = _describe(trainer, sources, command)
    if not math.isfinite(accuracy.nme):
        raise diverged("the network gives no finite coordinates")
    save_student(out, trainer.weights(), info)
    write_all(out.parent, {f"{out.stem}.md": model_card(out.stem, info).encode()})
    state_file.unlink(missing_ok=True)
    return accuracy


def check_out(out: Path) -> None:
    """Refuse, before hours are spent, what could not be written, or what a file beside it would be written over."""
    what = f"cannot write {out}"
    if out.suffix != ".safetensors":
        raise UserError(
            what, "the name of a checkpoint ends in .safetensors", f"name it {out.stem or 'my'}.safetensors"
        )
    check_writable(out)


def _reporter(trainer: Trainer, out: Path, report: Callable[[EpochReport], None]) -> Callable[[EpochReport], None]:
    log = cache(lambda: TrainingLog(out.with_suffix(".logs")))  # nothing is written before an epoch is through

    def write(epoch: EpochReport) -> None:
        log().write(epoch, len(trainer.history))
        write_training_plot(trainer.history, out.with_suffix(".png"))
        report(epoch)

    return write


def _check_faces(trainer: Trainer) -> None:
    if not trainer.training or not trainer.held_out:
        raise UserError(
            "cannot train on this data",
            f"{len(trainer.training)} of its faces would be trained on, {len(trainer.held_out)} held out",
            "give more identities or another share held_out",
        )
    unlabelled = all(face.weights is not None and not face.weights.any() for face in trainer.training)
    if unlabelled and not trainer.config.distillation.active:
        raise UserError(
            "cannot train on this data",
            "none of its labels counts, and no teacher speaks of its faces",
            "give --teacher, labels by people, or network_labels above 0",
        )
    largest = max(stage.batch for stage in trainer.config.stages)
    if len(trainer.training) < largest:  # an epoch takes whole batches only: there would be none
        raise UserError(
            "cannot train on this data",
            f"{len(trainer.training)} faces to train on are less than one batch of {largest}",
            "give more faces or a smaller batch",
        )


def _describe(trainer: Trainer, sources: Sequence[str], command: str) -> tuple[StudentInfo, Accuracy]:
    config, scheme = trainer.config, trainer.scheme
    size = config.stages[-1].input_size
    common: dict[str, Any] = {"train": False, "sigma": config.sigma}
    held_out = FaceSamples(trainer.held_out, scheme, size, config.augmentation, **common)
    seen = FaceSamples(trainer.training[:_BETA_FACES], scheme, size, config.augmentation, **common)
    trainer.average.module.load_state_dict(rounded(trainer.weights()))  # measure what will be written
    accuracy = trainer.measure(held_out)
    spec = trainer.objective.spec(trainer.student.config.heatmap_size)
    different = list({fingerprint([face]): face for face in trainer.training}.values())
    facts = {
        "data": ", ".join(Path(source.split(":")[1]).name for source in sources),
        "training_faces": len(different),
        "labelled_faces": sum(face.weights is not None for face in different),
        "shown_faces": len(trainer.training),
        "training_identities": len({face.identity for face in trainer.training}),
        "held_faces": len(trainer.held_out),
        "held_identities": len({face.identity for face in trainer.held_out}),
        "command": command,
        "seed": config.seed,
        "hardware": machine_of(trainer.accelerator.device, trainer.accelerator.num_processes),
        "hours": trainer.seconds / 3600,
        "parameters": sum(p.numel() for p in trainer.student.parameters()),
        "nme": accuracy.nme,
        "failure_rate": accuracy.failure_rate,
        "auc": accuracy.auc,
        "limits": LIMITS,
        "start": _origin(config.start),
        "teacher": _origin(config.distillation.teacher if config.distillation.active else ""),
        "config": as_json(config),
    }
    info = StudentInfo(
        trainer.student.config,
        scheme.name,
        decode=config.decode,
        threshold=config.threshold,
        beta=config.beta or fit_beta(trainer.average, seen, spec),
        margin=config.augmentation.margin,
        sigma=config.sigma,
        facts=facts,
    )
    return info, accuracy


def _origin(checkpoint: str) -> dict[str, Any] | None:
    """What is worth knowing of a checkpoint that a run starts or learns from; None where there is none."""
    if not checkpoint:
        return None
    known = {"hours": 0.0, "training_faces": 0, "nme": float("nan")} | dict(load_student(checkpoint)[1].facts)
    kept = ("hours", "training_faces", "nme", "parameters", "start", "command")
    return {"name": Path(checkpoint).stem} | {key: known[key] for key in kept if key in known}
