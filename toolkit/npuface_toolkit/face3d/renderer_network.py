"""Checkpoints of 3D models and of light fields -> what is exported."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from npuface_export.renderer import RendererNetwork
from npuface_export.target import Target
from npuface_runtime.errors import UserError
from npuface_runtime.plain import build
from npuface_toolkit.checkpoint import checkpoint_format, find_checkpoint, read_weights
from npuface_toolkit.face3d.codes_file import Codes, load_codes
from npuface_toolkit.face3d.face3d_checkpoint import FORMAT as FACE3D
from npuface_toolkit.face3d.face3d_checkpoint import load_face3d
from npuface_toolkit.face3d.generator import Generator
from npuface_toolkit.face3d.light_field import LightField, LightFieldConfig, packed_light_field
from npuface_toolkit.face3d.packed import PackedRenderer
from npuface_toolkit.tensors_file import write_tensors

LIGHT_FIELD = "npuface-light-field-2"
FORMATS = (FACE3D, LIGHT_FIELD)


def is_renderer_checkpoint(name: str) -> bool:
    """Whether a model that the user names is a 3D model's or a light field's checkpoint."""
    return not name.endswith(".onnx") and checkpoint_format(find_checkpoint(name)) in FORMATS


def renderer_network(name: str, codes: Path | None, target: Target) -> RendererNetwork:
    """The renderer of a checkpoint.

    Args:
        name: a 3D model, or a light field.
        codes: of the head that is baked into a 3D model; None lets codes enter.
        target: what it is laid out for.

    Raises:
        UserError: the checkpoint or the codes cannot be used, or a light field is given codes.
    """
    path = find_checkpoint(name)
    if checkpoint_format(path) == LIGHT_FIELD:
        if codes is not None:
            raise UserError(f"cannot export {name} like that", "a light field holds one head", "leave --codes out")
        field = load_light_field(path)
        return RendererNetwork(path.stem, packed_light_field(field), field.record())
    generator = load_face3d(name).generator
    baked = load_codes(codes, generator.config) if codes else None
    return head_network(path.stem, generator, baked, target)


def head_network(name: str, generator: Generator, codes: Codes | None, target: Target) -> RendererNetwork:
    """The renderer of a 3D model laid out for a target: of one head, or without codes of all that enter."""
    packed = PackedRenderer(generator, codes, target.channel_block)
    return RendererNetwork(name, packed, packed.record)


def save_light_field(path: Path, field: LightField, facts: dict[str, Any]) -> None:
    """Write a light field. Raises UserError where the file cannot be written."""
    about = json.dumps({"config": asdict(field.config), "facts": facts})
    write_tensors(path, field.state_dict(), LIGHT_FIELD, about)


def load_light_field(path: Path) -> LightField:
    """Read a light field.

    Raises:
        UserError: the file is damaged, or its weights and its description disagree.
    """
    what, fix = f"cannot open the checkpoint {path}", "make it with npuface face3d light-field"
    try:
        weights, about = read_weights(path, LIGHT_FIELD)
        config = json.loads(about)["config"]
        shape: LightFieldConfig = build(LightFieldConfig, config, "light field")
        shape.check()
        field = LightField(shape)
        field.load_state_dict(weights)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UserError(what, " ".join(str(error).split())[:200], fix) from None
    return field.eval()
