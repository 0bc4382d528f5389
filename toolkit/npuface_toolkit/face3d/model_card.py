"""The model card of a 3D face model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from npuface_toolkit.face3d.face3d_checkpoint import Face3d


def face3d_card(name: str, model: Face3d) -> str:
    """Markdown that says what the networks are, what they were trained on, and what they cannot do."""
    generator, facts = model.generator, model.facts
    rays, size = generator.config.rays, generator.config.size
    parameters = sum(p.numel() for p in generator.parameters()), sum(p.numel() for p in model.encoder.parameters())
    rows = [
        (
            "renders",
            f"{size} x {size} pixels, {rays.grid} x {rays.grid} rays of {rays.samples} samples",
        ),
        ("parameters", f"generator {parameters[0]:,}, encoder {parameters[1]:,}"),
        ("codes", f"{generator.config.shape_codes} of shape, {generator.config.appearance_codes} of appearance"),
        ("command", f"`{facts['command']}`"),
        ("procedural heads", "{trained on} trained on, {held out} held out".format(**facts["heads"])),
        ("photographs", "{trained on} trained on, {held out} held out".format(**facts["photographs"])),
        ("of", ", ".join(facts["data"]) or "-"),
        ("loss", f"`{json.dumps(facts['configuration']['loss'])}`"),
        ("training", f"{_steps(facts)}, {facts['hours']} h on {facts['machine']}"),
    ]
    table = "\n".join(f"| {what} | {value} |" for what, value in rows)
    return f"""# {name}

A generative 3D model of heads: codes and a pose -> a picture, a density, a mesh.

| what | value |
|---|---|
{table}

## Limits

Geometry is learnt from procedural heads, whose shape is known; photographs teach colours, and their depth is what the
heads taught. Hair, glasses, expressions and profiles are rough. A picture has {size} pixels a side: it is no portrait.
Measure on your own pictures; it must not be used to identify people.
"""


def _steps(facts: Mapping[str, Any]) -> str:
    most = facts["configuration"]["steps"]
    return f"converged after {facts['steps']} of {most} steps" if facts.get("converged") else f"{most} steps"
