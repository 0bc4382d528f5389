"""The 3D face model's training configuration: one TOML file, every number in it."""

from __future__ import annotations

import dataclasses
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from npuface_runtime.errors import UserError
from npuface_runtime.plain import build
from npuface_toolkit.face3d.generator import GeneratorConfig

PAIRINGS = ("encoder", "literal")


@dataclass(frozen=True)
class LossWeights:
    """Weights of the terms (see objective.py).

    Attributes:
        picture: pixels of the rendered picture.
        colour: pixels of the auxiliary colour head.
        depth, opacity, solid: distance, silhouette and inside of procedural heads, whose geometry is known.
        pose: the encoder's guess of the pose, in units of 45 degrees.
        code: pulls codes of pictures to N(0, I).
        hollow: hinge on the mean opacity, against a density that dies out.
        gan, r1: adversarial loss (step S502), and the penalty on the discriminator's slope.
        identity: distance of encoder 1 to the frozen encoder 2 (step S508); needs its weights.
    """

    picture: float = 1.0
    colour: float = 0.3
    depth: float = 0.5
    opacity: float = 0.5
    solid: float = 0.3
    pose: float = 0.1
    code: float = 1e-3
    hollow: float = 1.0
    gan: float = 0.0
    r1: float = 10.0
    identity: float = 0.0


@dataclass(frozen=True)
class Face3dTraining:
    """Everything that a run depends on besides its pictures.

    Attributes:
        generator: its shape.
        loss: weights of the terms.
        pairing: "encoder": codes and pose of a render are those of the picture that it is compared with. "literal":
            as the patent's text says, random codes against any picture; see docs/face3d.md for what that teaches.
        discriminator, feature_encoder: "vgg16" or "resnet".
        adversary_width: channels of the first layer of discriminator and encoder 1.
        steps, batch: how many at most, and pictures in each.
        converge_window, converged: the run has converged, and ends, where the mean loss of so many steps lies by less
            than this share below that of as many before; 0 takes all steps.
        photos: share of a batch that are photographs, where both are given.
        rate, adversary_rate: of Adam; the first follows a cosine after `warmup`.
        gan_from: share of the steps after which the discriminator begins.
        ema: decay of the averaged weights a step.
        held_out: share of the heads, and of the photographs' identities, that are never trained on.
        seed: of weights, batches and codes.
        precision: "bf16" or "fp32" (see precision.py).
        sheet_every: steps between the sheets of samples.
    """

    generator: GeneratorConfig = field(default_factory=GeneratorConfig)
    loss: LossWeights = field(default_factory=LossWeights)
    pairing: str = "encoder"
    discriminator: str = "resnet"
    feature_encoder: str = "resnet"
    adversary_width: int = 16
    steps: int = 10000
    batch: int = 24
    converge_window: int = 1000
    converged: float = 0.0
    photos: float = 0.5
    rate: float = 7e-4
    adversary_rate: float = 4e-4
    warmup: float = 0.02
    gan_from: float = 0.5
    ema: float = 0.999
    held_out: float = 0.05
    seed: int = 0
    precision: str = "bf16"
    sheet_every: int = 1000


def read_face3d_config(path: Path) -> Face3dTraining:
    """Read a TOML configuration.

    Raises:
        UserError: the file is missing, no TOML, or has a key or value that is not known.
    """
    what = f"cannot read the configuration {path}"
    try:
        raw: dict[str, Any] = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(what, error.strerror or str(error), "give a TOML file or a shipped name") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UserError(what, f"it is not TOML ({error})", "mend the file") from None
    try:
        config: Face3dTraining = build(Face3dTraining, raw, "configuration")
        config.generator.check()
        _check(config)
    except ValueError as error:
        known = ", ".join(f.name for f in dataclasses.fields(Face3dTraining))
        raise UserError(what, str(error), f"the keys are {known}") from None
    return config


def _check(config: Face3dTraining) -> None:
    if config.pairing not in PAIRINGS:
        raise ValueError(f"pairing is {config.pairing!r}, not one of {', '.join(PAIRINGS)}")
    if config.precision not in ("bf16", "fp32"):
        raise ValueError(f"precision is {config.precision!r}, not bf16 or fp32")
    if min(config.steps, config.batch, config.sheet_every, config.adversary_width, config.converge_window) < 1:
        raise ValueError("steps, batch, sheet_every, adversary_width and converge_window are numbers above 0")
    if min(config.rate, config.adversary_rate) <= 0 or config.seed < 0:
        raise ValueError("rates are above 0, and the seed is not below")
    shares = (config.photos, config.warmup, config.gan_from, config.held_out, config.ema, config.converged)
    if min(shares) < 0 or max(shares) > 1 or config.held_out in (0, 1) or config.ema == 1:
        raise ValueError("photos, warmup, gan_from, held_out, ema and converged are shares between 0 and 1")
    if any(weight < 0 for weight in dataclasses.astuple(config.loss)):
        raise ValueError("a weight of the loss is below 0")
