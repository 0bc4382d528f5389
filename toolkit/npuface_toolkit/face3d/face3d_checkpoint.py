"""Checkpoints of the 3D face model: a safetensors file whose metadata says which networks it holds."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from torch import Tensor

from npuface_runtime.errors import UserError
from npuface_toolkit.checkpoint import find_checkpoint
from npuface_toolkit.face3d.generator import Generator, GeneratorConfig
from npuface_toolkit.face3d.image_encoder import ImageEncoder
from npuface_toolkit.tensors_file import write_tensors

FORMAT = "npuface-face3d-1"


@dataclass(frozen=True)
class Face3d:
    """The networks of a checkpoint, in evaluation mode.

    Attributes:
        generator: pose and codes -> picture.
        encoder: picture -> codes and pose.
        facts: how they were trained and measured, for people.
    """

    generator: Generator
    encoder: ImageEncoder
    facts: Mapping[str, Any] = field(default_factory=dict)


def new_face3d(config: GeneratorConfig) -> Face3d:
    """Both networks with random weights."""
    model = Face3d(Generator(config), ImageEncoder(config.shape_codes, config.appearance_codes))
    for network in (model.generator, model.encoder):
        network.initialise()
    return model


def save_face3d(path: Path, model: Face3d) -> None:
    """Write a checkpoint. Raises UserError where the file cannot be written."""
    about = {"config": model.generator.config.as_dict(), "facts": dict(model.facts)}
    weights = _named("generator", model.generator.state_dict()) | _named("encoder", model.encoder.state_dict())
    write_tensors(path, weights, FORMAT, json.dumps(about))


def load_face3d(name: str) -> Face3d:
    """The networks of a checkpoint: a path, or the name of a shipped model such as `face3d-heads`.

    Raises:
        UserError: the file is missing, damaged, no checkpoint of a 3D face model, of another layout, or not finite.
    """
    path = find_checkpoint(name)
    what, fix = f"cannot open the checkpoint {name}", "give face3d-heads or one made by npuface face3d train"
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError) as error:
        raise UserError(what, f"it is no safetensors file ({error})", fix) from None
    if metadata.get("format") != FORMAT:
        raise UserError(what, f"it says its format is {metadata.get('format')}, not {FORMAT}", fix)
    try:
        about = json.loads(metadata["about"])
        built = new_face3d(GeneratorConfig.from_dict(about["config"]))
        built.generator.load_state_dict(_part("generator", weights))
        built.encoder.load_state_dict(_part("encoder", weights))
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(what, f"its weights and its description disagree ({reason})", fix) from None
    if not all(bool(weight.isfinite().all()) for weight in weights.values()):
        raise UserError(what, "a weight is not finite", fix)
    return Face3d(built.generator.eval(), built.encoder.eval(), about.get("facts", {}))


def _named(part: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{part}.{key}": weight.contiguous() for key, weight in weights.items()}


def _part(part: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    prefix = f"{part}."
    return {key.removeprefix(prefix): weight for key, weight in weights.items() if key.startswith(prefix)}
