"""The training configuration: one TOML file, every number in it."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npuface_export.decode import form_by_name
from npuface_runtime.errors import UserError
from npuface_toolkit.augment import Augmentation
from npuface_toolkit.camera_effects import CameraEffects
from npuface_toolkit.config_values import check_values
from npuface_toolkit.losses import LossWeights
from npuface_toolkit.schemes import IBUG_68, Scheme
from npuface_toolkit.student import StudentConfig


@dataclass(frozen=True)
class Stage:
    """A stretch of training at one input size.

    Attributes:
        input_size: side of the network input in pixels.
        epochs: passes over the training faces.
        batch: faces a step.
        rate: peak learning rate of the cosine schedule.
        warmup: share of the stage's steps over which the rate rises.
        quantization_aware: round weights and activations as the INT8 export will, with the decode in place.
    """

    input_size: int
    epochs: int
    batch: int = 32
    rate: float = 2e-3
    warmup: float = 0.1
    quantization_aware: bool = False


@dataclass(frozen=True)
class Distillation:
    """Coefficients of the distillation terms b1 D(edges) + b2 D(heatmaps) + b3 D(points).

    Attributes:
        teacher: a checkpoint of the same landmark scheme; empty for none.
        edges, heatmaps, points: b1, b2, b3.
    """

    teacher: str = ""
    edges: float = 0.3
    heatmaps: float = 1.0
    points: float = 1.0

    @property
    def active(self) -> bool:
        """Whether a teacher teaches: there is one, and a term that counts."""
        return bool(self.teacher) and any((self.edges, self.heatmaps, self.points))


@dataclass(frozen=True)
class TrainingConfig:
    """Everything that a training run depends on besides the faces.

    Attributes:
        stages: one after the other, the same weights growing from small pictures to large ones.
        width, depth, stem, features, compensation, backbone, stacks: shape of the network (see StudentConfig).
        start: a checkpoint, or a shipped student, whose weights to start from; empty starts from random ones.
        decode: the decode form in place while training.
        threshold: of that form.
        beta: of that form, where it is one with a softmax; 0 trains with 20 and chooses what suits best afterwards.
        sigma: of the target heatmaps, in cells.
        held_out: share of the identities never trained on.
        network_labels: how much labels count that a network gave, of faces with weights; 0 leaves these to the teacher.
        balance: how often a face in a rare pose is shown an epoch at most (see pose_balance); 1 shows each once.
        weight_decay, ema: of AdamW, and the decay of the averaged weights a step; 0 keeps the last weights.
        seed: of the weights, the order and the augmentation.
        workers: processes that prepare the samples; 0 prepares them in the training process.
        precision: "bf16" (autocast; float32 where the processor has none) or "fp32".
    """

    stages: tuple[Stage, ...]
    width: float = 1.0
    depth: int = 4
    stem: int = 24
    features: int = 152
    compensation: int = 64
    backbone: str = "mobile-hourglass"
    stacks: int = 1
    start: str = ""
    decode: str = "relative-threshold"
    threshold: float = 0.3
    beta: float = 0.0
    sigma: float = 1.5
    held_out: float = 0.2
    network_labels: float = 1.0
    balance: int = 1
    weight_decay: float = 1e-3
    ema: float = 0.998
    seed: int = 0
    workers: int = 1
    precision: str = "bf16"
    loss: LossWeights = field(default_factory=LossWeights)
    distillation: Distillation = field(default_factory=Distillation)
    augmentation: Augmentation = field(default_factory=Augmentation)


def _augmentation(camera: dict[str, Any] | None = None, **plain: float) -> Augmentation:
    return Augmentation(camera=CameraEffects(**(camera or {})), **plain)


_TABLES: dict[str, Callable[..., Any]] = {
    "stages": Stage,
    "loss": LossWeights,
    "distillation": Distillation,
    "augmentation": _augmentation,
}


def read_config(path: Path) -> TrainingConfig:
    """Read a TOML configuration.

    Raises:
        UserError: the file is missing, no TOML, or has a key or value that is not known.
    """
    try:
        raw = tomllib.loads(path.read_text())
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise UserError(f"cannot read the configuration {path}", why, "check the path") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read the configuration {path}", f"it is not TOML ({error})", "mend the file") from None
    return build_config(raw, str(path))


def build_config(raw: dict[str, Any], source: str) -> TrainingConfig:
    """A configuration of plain data, as TOML gives it; `source` is for the messages.

    Raises:
        UserError: a key is not known, or a value is of another kind, out of its range, or makes no network.
    """
    what = f"cannot read the configuration {source}"
    try:
        plain = {key: value for key, value in raw.items() if key not in _TABLES}
        stages = tuple(Stage(**stage) for stage in raw["stages"])
        tables = {name: made(**raw.get(name, {})) for name, made in _TABLES.items() if name != "stages"}
        config = TrainingConfig(stages=stages, **tables, **plain)
        check_values(config)
        if "heatmaps" not in form_by_name(config.decode).kinds:
            raise ValueError(f"decode = {config.decode!r} takes no heatmaps")
        for stage in stages:
            network_shape(IBUG_68, dataclasses.replace(config, stages=(stage,)))
    except ValueError as error:
        raise UserError(what, str(error), "mend that value") from None
    except (KeyError, TypeError) as error:
        known = ", ".join(f.name for f in dataclasses.fields(TrainingConfig))
        raise UserError(what, str(error), f"the keys are {known}") from None
    if not config.stages or config.precision not in ("bf16", "fp32"):
        raise UserError(what, "it needs a stage, and precision bf16 or fp32", "mend the file")
    return config


def network_shape(scheme: Scheme, config: TrainingConfig) -> StudentConfig:
    """The shape of the network that a configuration trains on data of a scheme.

    Raises:
        ValueError: there is no such network.
    """
    return StudentConfig(
        config.stages[-1].input_size,
        scheme.points,
        len(scheme.boundaries),
        config.width,
        config.depth,
        config.stem,
        config.features,
        config.compensation,
        config.backbone,
        config.stacks,
    )


def taught(config: TrainingConfig, teacher: str | None) -> TrainingConfig:
    """The configuration with another teacher; itself where None is given."""
    if teacher is None:
        return config
    return dataclasses.replace(config, distillation=dataclasses.replace(config.distillation, teacher=teacher))


def as_json(config: TrainingConfig) -> dict[str, Any]:
    """The configuration as plain data, for checkpoints and logs."""
    return dataclasses.asdict(config)
