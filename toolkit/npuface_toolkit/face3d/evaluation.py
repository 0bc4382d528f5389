"""`npuface face3d evaluate`: a model on heads and faces, as plain data."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from npuface_benchmarks.draw import encode_picture
from npuface_benchmarks.files import check_writable, write_all
from npuface_export.calibrated import check_int8
from npuface_export.compile import check_compiler
from npuface_export.target import Target, target_by_name
from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.evaluate import on_heads, on_photos
from npuface_toolkit.face3d.face3d_checkpoint import Face3d, load_face3d
from npuface_toolkit.face3d.head_views import load_views
from npuface_toolkit.face3d.identity_encoder import open_identity_encoder
from npuface_toolkit.face3d.photos import Photos, aligned_photos, read_portraits
from npuface_toolkit.face3d.quantized_heads import quantize_heads
from npuface_toolkit.face3d.random_heads import random_heads
from npuface_toolkit.face3d.reconstruct import Reconstruction
from npuface_toolkit.face3d.sheets import yaw_sheet
from npuface_toolkit.face3d.training_run import split_heads
from npuface_toolkit.faces import split_by_identity

_log = logging.getLogger("npuface.evaluate")
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
    int8: str | None = None,
) -> dict[str, dict[str, Any]]:
    """Reconstruct heads, faces or both (see cli.face3d.evaluate for the arguments).

    Returns:
        Records by "heads", "faces", "INT8" and "random heads" (HeadErrors, PhotoErrors, QuantizedHeads, RandomHeads).

    Raises:
        UserError: nothing is given to reconstruct, it cannot be read, or nothing of it was held out.
    """
    _check(heads, sources, held_out, identity, fit_identity, sheet)
    target = None if int8 is None else _int8_target(int8, sources)
    networks = load_face3d(model)
    found: dict[str, dict[str, Any]] = {}
    judge = None if identity is None else open_identity_encoder(identity)
    known = _photos(sources, held_out, networks.generator.config.size) if sources else None
    if heads is not None:
        views = load_views(heads)
        views = views if held_out is None else split_heads(views, held_out)[1]
        found["heads"] = on_heads(networks, views.part(_spread(len(views), most))).as_json()
    if known is not None and judge is not None:
        photos = known.part(_spread(len(known), most))
        errors, made = on_photos(networks, photos, judge, fitted_by=judge if fit_identity else None)
        found["faces"] = asdict(errors) | {"judge_in_fit": fit_identity, "people": len(set(photos.identities))}
        if target is not None:
            fitted = [(head.zs, head.za) for head in made]
            found["INT8"] = asdict(quantize_heads(networks.generator, fitted, target))
        found |= _random(networks, known, judge)
        if sheet:
            _write_sheet(sheet, networks, photos, made)
    return found


def _random(networks: Face3d, photos: Photos, judge: nn.Module) -> dict[str, dict[str, Any]]:
    """The record of random heads; none, and a word why, where the photographs show too few people for a floor."""
    try:
        return {"random heads": asdict(random_heads(networks, photos, judge))}
    except UserError as error:
        _log.warning("%s: %s", error.what, error.why)
        return {}


def _check(
    heads: Path | None,
    sources: Sequence[str],
    held_out: float | None,
    identity: str | None,
    fit_identity: bool,
    sheet: Path | None,
) -> None:
    """Refuse arguments that do not go together."""
    if heads is None and not sources:
        raise UserError("cannot evaluate on nothing", "neither heads nor faces are given", "give --heads or --data")
    if bool(sources) != (identity is not None):
        why = "faces are compared by a judge of identities, and one of both is missing"
        raise UserError("cannot compare faces", why, "give --data and --identity KIND:FILE together")
    if fit_identity and identity is None:
        raise UserError("cannot let the judge take part in the fit", "no judge is given", "give --identity KIND:FILE")
    if sheet is not None:
        check_writable(sheet)
    if sheet and not sources:
        raise UserError(f"cannot draw {sheet}", "a sheet shows faces, and none are given", "give --data")
    if held_out is not None and not 0 < held_out < 1:
        raise UserError(
            f"cannot hold out {held_out}", "it is a share of heads and identities", "give 0.05 for instance"
        )


def _int8_target(name: str, sources: Sequence[str]) -> Target:
    """The target by its name, refused before anything is fitted where nothing could be quantized for it."""
    if not sources:
        raise UserError("cannot measure INT8", "it is that of faces, and none are given", "give --data")
    target = target_by_name(name)
    check_int8(target)
    check_compiler(target)
    return target


def _photos(sources: Sequence[str], held_out: float | None, size: int) -> Photos:
    faces = read_portraits(sources)
    if held_out is not None:
        _, faces = split_by_identity(faces, held_out)
    photos = aligned_photos(faces, size)
    if not len(photos):
        why = "no face is left: all were trained on, in profile or without a pose"
        raise UserError("cannot compare faces", why, "give more faces, or a larger --held-out if training had it")
    return photos


def _write_sheet(path: Path, networks: Face3d, photos: Photos, made: Sequence[Reconstruction]) -> None:
    chosen = _spread(len(made), _SHEET)
    codes = [(made[i].zs, made[i].za) for i in chosen]
    rows = yaw_sheet(networks.generator, codes, [photos.rgb[i] for i in chosen])
    write_all(path.parent, {path.name: encode_picture(rows, ".png")})


def _spread(count: int, most: int) -> NDArray[np.intp]:
    """At most so many places of a list, spread evenly over it."""
    return np.linspace(0, count - 1, min(most, count)).astype(np.intp)
