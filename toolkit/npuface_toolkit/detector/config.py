"""The detector's training configuration: one TOML file, every number in it."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npuface_runtime.errors import UserError
from npuface_toolkit.config_values import check_values
from npuface_toolkit.detector.network import DetectorConfig


@dataclass(frozen=True)
class Augmentation:
    """How training pictures are varied.

    Attributes:
        sizes: sides in pixels between which the faces' sizes are drawn, evenly in their logarithm.
        enlarge: most by which a picture is enlarged for that.
        rotation: largest turn, in degrees, of every second picture.
        camera: probability of what a camera does to a picture (see camera_effects.py).
        sure: score from which a labelled face counts; below it, its place counts as nothing.
        least: side in pixels below which a face counts as nothing.
    """

    sizes: tuple[float, float] = (12.0, 220.0)
    enlarge: float = 3.0
    rotation: float = 20.0
    camera: float = 0.5
    sure: float = 0.6
    least: float = 9.0


@dataclass(frozen=True)
class DetectorTraining:
    """Everything that a run depends on besides the pictures.

    Attributes:
        network: its shape.
        augmentation: how pictures are varied.
        epochs, pictures: epochs, and pictures in each.
        batch, rate, warmup, weight_decay: of AdamW on a cosine schedule.
        ema: decay of the averaged weights a step.
        box: weight of the box loss.
        held_out: share of the pictures that are never trained on.
        seed: of weights and pictures.
        workers: processes that prepare pictures.
        precision: "bf16" or "fp32" (see precision.py).
    """

    network: DetectorConfig = field(default_factory=DetectorConfig)
    augmentation: Augmentation = field(default_factory=Augmentation)
    epochs: int = 20
    pictures: int = 6400
    batch: int = 32
    rate: float = 3e-3
    warmup: float = 0.05
    weight_decay: float = 1e-3
    ema: float = 0.998
    box: float = 2.0
    held_out: float = 0.1
    seed: int = 0
    workers: int = 1
    precision: str = "bf16"


def read_detector_config(path: Path) -> DetectorTraining:
    """Read a TOML configuration.

    Raises:
        UserError: the file is missing, no TOML, or has a key or value that is not known.
    """
    what = f"cannot read the configuration {path}"
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(what, error.strerror or str(error), "give a TOML file or a shipped name") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(what, f"it is not TOML ({error})", "mend the file") from None
    try:
        augmentation: dict[str, Any] = raw.pop("augmentation", {})
        if "sizes" in augmentation:
            augmentation["sizes"] = tuple(augmentation["sizes"])
        config = DetectorTraining(DetectorConfig(**raw.pop("network", {})), Augmentation(**augmentation), **raw)
        check_values(config)
        _check(config)
    except (TypeError, ValueError) as error:
        known = ", ".join(f.name for f in dataclasses.fields(DetectorTraining))
        raise UserError(what, str(error), f"the keys are {known}") from None
    return config


def _check(config: DetectorTraining) -> None:
    smallest, largest = config.augmentation.sizes
    if not 0 < smallest < largest:
        raise ValueError(f"sizes are {smallest} and {largest}")
    if config.precision not in ("bf16", "fp32"):
        raise ValueError(f"precision is {config.precision!r}, not bf16 or fp32")
    if min(config.epochs, config.batch) < 1 or config.pictures < config.batch:
        raise ValueError("it has no epoch, or no batch in one")
