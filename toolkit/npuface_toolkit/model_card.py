"""The model card: what a checkpoint says about itself, for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from npuface_toolkit.checkpoint import StudentInfo

_TEMPLATE = """# {name}

A {points}-point face landmark network ({scheme}) for a {size} x {size} RGB crop: a {body} with boundary, landmark and
compensation branches, {parameters:,} parameters. It was trained with the `{decode}` decode in place.

| | |
|---|---|
{rows}

NME: mean over faces of the mean point distance over the distance of the outer eye corners; the crop is the square of
{margin} times the longer side of the box around the true points.

## Limits

{limits}
"""


def model_card(name: str, info: StudentInfo) -> str:
    """The card as Markdown. Every number comes from the checkpoint's own facts."""
    facts, config = info.facts, info.config
    stacks = f"{config.stacks} stacks of a " if config.stacks > 1 else ""
    return _TEMPLATE.format(
        name=name,
        points=config.points,
        scheme=info.scheme,
        size=config.input_size,
        body=f"{stacks}{config.backbone} body",
        parameters=facts["parameters"],
        decode=info.decode,
        rows="\n".join(f"| {title} | {text} |" for title, text in _rows(facts, config.points)),
        margin=info.margin,
        limits=facts["limits"],
    )


def _rows(facts: Mapping[str, Any], points: int) -> list[tuple[str, str]]:
    faces = f"{facts['training_faces']} trained on, {facts['held_faces']} held out"
    rows = [
        ("Training data", facts["data"]),
        (
            "Split",
            f"by identity: {facts['held_identities']} identities held out, {facts['training_identities']} trained on",
        ),
        ("Faces", faces),
    ]
    if facts.get("shown_faces", facts["training_faces"]) > facts["training_faces"]:
        rows.append(("Shown an epoch", f"{facts['shown_faces']} faces: some are given more than once"))
    if facts.get("labelled_faces"):
        rows.append(("Labelled by networks", f"{facts['labelled_faces']} of the faces trained on"))
    for key, title in (("teacher", "Distilled from"), ("start", "Started from")):
        if facts.get(key):
            rows.append((title, _other(facts[key])))
    return [
        *rows,
        ("Command", f"`{facts['command']}`"),
        ("Seed", str(facts["seed"])),
        ("Hardware and time", f"{facts['hardware']}, {facts['hours']:.1f} h"),
        ("Held-out NME", f"**{facts['nme']:.2%}** on {facts['held_faces']} faces, {points} points"),
        ("Held-out failure rate (NME > 10 %)", f"{facts['failure_rate']:.2%}"),
        ("Held-out AUC to 10 %", f"{facts['auc']:.3f}"),
    ]


def _other(facts: Mapping[str, Any]) -> str:
    """Another checkpoint that this one owes something to, and what that one owes to others."""
    text = (
        f"{facts['name']}: {facts['hours']:.1f} h on {facts['training_faces']} faces, held-out NME {facts['nme']:.2%}"
    )
    return f"{text}; that one from {_other(facts['start'])}" if facts.get("start") else text
