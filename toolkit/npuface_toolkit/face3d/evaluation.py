"""`npuface face3d evaluate`: a model on heads and faces, as plain data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from npuface_benchmarks.files import write_all
from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.evaluate import on_heads, on_photos
from npuface_toolkit.face3d.face3d_checkpoint import load_face3d
from npuface_toolkit.face3d.head_views import load_views
from npuface_toolkit.face3d.identity_encoder import open_identity_encoder
from npuface_toolkit.face3d.photos import aligned_photos
from npuface_toolkit.face3d.sheets import png, yaw_sheet
from npuface_toolkit.faces import Face, split_by_identity
from npuface_toolkit.training_run import read_sources

_SHEET = 8


def evaluate_face3d(
    model: str,
    heads: Path | None,
    sources: Sequence[str],
    held_out: float | None,
    most: int,
    identity: str | None,
    fit_identity: bool,
    sheet: Path | None,
) -> dict[str, dict[str, Any]]:
    """Reconstruct heads, faces or both (see cli.face3d.evaluate for the arguments).

    Returns:
        Records by "heads" and "faces" (HeadErrors, PhotoErrors).

    Raises:
        UserError: nothing is given to reconstruct, or it cannot be read.
    """
    if heads is None and not sources:
        raise UserError("cannot evaluate on nothing", "neither heads nor faces are given", "give --heads or --data")
    if sources and identity is None:
        raise UserError("cannot compare faces", "no judge of identities is given", "give --identity KIND:FILE")
    networks = load_face3d(model)
    found: dict[str, dict[str, Any]] = {}
    if heads is not None:
        known = load_views(heads)
        found["heads"] = on_heads(networks, known.part(slice(most))).as_json()
    if sources and identity is not None:
        faces, _ = read_sources(sources)
        if held_out is not None:
            _, faces = split_by_identity(faces, held_out)
        photos = aligned_photos(_spread(faces, most), networks.generator.config.size)
        judge = open_identity_encoder(identity)
        errors, made = on_photos(networks, photos, judge, fitted_by=judge if fit_identity else None)
        found["faces"] = asdict(errors) | {"judge_in_fit": fit_identity, "people": len(set(photos.identities))}
        if sheet:
            chosen = np.linspace(0, len(made) - 1, min(_SHEET, len(made))).astype(int)
            codes = [(made[i].zs, made[i].za) for i in chosen]
            rows = yaw_sheet(networks.generator, codes, [photos.rgb[i] for i in chosen])
            write_all(sheet.parent, {sheet.name: png(rows)})
    return found


def _spread(faces: Sequence[Face], most: int) -> list[Face]:
    """At most so many faces, spread evenly over the list."""
    return [faces[i] for i in np.linspace(0, len(faces) - 1, min(most, len(faces))).astype(int)]
