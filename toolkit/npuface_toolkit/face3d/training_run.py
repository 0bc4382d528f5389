"""A training run of the 3D model: heads and faces in, checkpoint, model card and sheets of samples out."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from npuface_benchmarks.draw import encode_picture
from npuface_benchmarks.files import write_all
from npuface_runtime.errors import UserError
from npuface_toolkit.face3d.config import Face3dTraining
from npuface_toolkit.face3d.eight_bit_weights import settle_weights
from npuface_toolkit.face3d.face3d_checkpoint import Face3d, save_face3d
from npuface_toolkit.face3d.head_views import HeadViews
from npuface_toolkit.face3d.model_card import face3d_card
from npuface_toolkit.face3d.photos import Photos, aligned_photos, read_portraits
from npuface_toolkit.face3d.sheets import Picture, as_tensors, yaw_sheet
from npuface_toolkit.face3d.train import Face3dTrainer
from npuface_toolkit.faces import split_by_identity
from npuface_toolkit.training_machine import machine_of
from npuface_toolkit.training_run import check_out

SHEET_ROWS = 4


def split_heads(heads: HeadViews, held_out: float) -> tuple[HeadViews, HeadViews]:
    """Heads to train on, and the last ones, which are held out.

    Raises:
        UserError: there are too few for both.
    """
    kept = len(heads) - max(1, round(held_out * len(heads)))
    if kept < 1:
        why = f"there are {len(heads)}, and {held_out:.0%} of them are held out"
        raise UserError("cannot split the heads", why, "draw more: npuface face3d heads")
    return heads.part(slice(kept)), heads.part(slice(kept, None))


def split_photos(sources: Sequence[str], held_out: float, size: int) -> tuple[Photos, Photos]:
    """Aligned faces to train on, and those of people who are held out.

    Raises:
        UserError: a source cannot be read, or has no 68 points.
    """
    training, others = split_by_identity(read_portraits(sources), held_out)
    return aligned_photos(training, size), aligned_photos(others, size)


def train_face3d(
    heads: HeadViews | None,
    sources: Sequence[str],
    config: Face3dTraining,
    out: Path,
    command: str,
    identity: nn.Module | None = None,
) -> Face3d | None:
    """Train, and write `out` (safetensors), its model card, and sheets of samples into `<out>.sheets`.

    A killed run goes on when called again.

    Returns:
        What was written; None in every process but the first, which alone writes.

    Raises:
        UserError: data or configuration are wrong, or a file cannot be written.
    """
    _check(heads, sources, config, out, identity)
    training_heads, other_heads = split_heads(heads, config.held_out) if heads is not None else (None, None)
    photos, other_photos = split_photos(sources, config.held_out, config.generator.size)
    if training_heads is None and not len(photos):
        why = "every face is held out, in profile or without a pose"
        raise UserError("cannot train on nothing", why, "give more faces with 68 points, or --heads")
    state_file, shown = out.with_suffix(".state"), sample_pictures(other_heads, other_photos)
    trainer = Face3dTrainer(training_heads, photos if len(photos) else None, config, state_file, identity)
    trainer.run(partial(_write_sheet, out.with_suffix(".sheets"), shown) if shown else None)
    if not trainer.accelerator.is_main_process:
        return None
    facts: dict[str, Any] = {
        "command": command,
        "heads": {"trained on": len(training_heads or ()), "held out": len(other_heads or ())},
        "photographs": {"trained on": len(photos), "held out": len(other_photos)},
        "data": [source.split(":")[1].rsplit("/", 1)[-1] for source in sources],
        "configuration": asdict(config),
        "steps": trainer.convergence.steps,
        "converged": trainer.convergence.reached,
        "hours": round(trainer.seconds / 3600, 2),
        "machine": machine_of(trainer.device, trainer.processes),
    }
    made = trainer.result
    settle_weights(made.generator)
    model = Face3d(made.generator, made.encoder, facts)
    save_face3d(out, model)
    write_all(out.parent, {f"{out.stem}.md": face3d_card(out.stem, model).encode()})
    state_file.unlink(missing_ok=True)
    return model


def _check(
    heads: HeadViews | None, sources: Sequence[str], config: Face3dTraining, out: Path, identity: nn.Module | None
) -> None:
    """Refuse what cannot be trained, before anything is read or made."""
    size = config.generator.size
    if heads is None and not sources:
        raise UserError("cannot train on nothing", "neither heads nor faces are given", "give --heads or --data")
    if heads is not None and heads.rgb.shape[2] != size:
        why = f"they are drawn with {heads.rgb.shape[2]} pixels, the configuration renders {size}"
        raise UserError("cannot train on these heads", why, "draw them with that size: npuface face3d heads --size")
    if config.loss.identity and identity is None:
        why = "the configuration has an identity term, and no weights of encoder 2 are given"
        raise UserError("cannot train like that", why, "give --identity FILE, or set identity to 0")
    check_out(out)


def _write_sheet(folder: Path, shown: Sequence[Picture], model: Face3d, step: int) -> None:
    write_all(folder, {f"{step:06d}.png": encode_picture(sheet_of(model, shown), ".png")})


def sample_pictures(heads: HeadViews | None, photos: Photos | None) -> list[Picture]:
    """Some pictures that training does not see, of both kinds."""
    shown = [heads.rgb[i, 0] for i in range(min(SHEET_ROWS, len(heads)))] if heads else []
    if photos and len(photos):
        chosen = np.linspace(0, len(photos) - 1, min(SHEET_ROWS, len(photos))).astype(int)
        shown += [photos.rgb[i] for i in chosen]
    return shown


@torch.no_grad()
def sheet_of(model: Face3d, shown: Sequence[Picture]) -> Picture:
    """Each picture, and the head of its codes by yaw."""
    codes = []
    for rgb in shown:
        zs, za, _ = model.encoder(as_tensors(rgb[None]))
        codes.append((zs, za))
    return yaw_sheet(model.generator, codes, shown)
