"""A renderer's bundle -> a turning head, by the runtime alone."""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from npuface_export.renderer import drawn_codes
from npuface_runtime.errors import UserError
from npuface_runtime.face_renderer import FaceRenderer
from npuface_runtime.ray_encoding import check_pose
from npuface_toolkit.face3d.sheets import Picture

ENDINGS = (".png", ".mp4")
_RATE = 15.0
_SIDE = 256


def yaws_of(text: str, frames: int) -> list[float]:
    """ "-30..30" -> that many angles from one to the other; "20" -> one.

    Raises:
        UserError: it is neither.
    """
    first, dots, last = text.partition("..")
    try:
        angles = [float(first)] if not dots else np.linspace(float(first), float(last), frames).tolist()
    except ValueError:
        angles = [math.nan]
    if not all(math.isfinite(angle) for angle in angles):
        raise UserError(f"cannot turn the head by {text!r}", "it is no angle and no range", "give --yaw -30..30")
    return angles


def render_turn(
    bundle: Path, out: Path, yaw: str, pitch: float, frames: int, seed: int, threads: int
) -> dict[str, Any]:
    """Render a head at each yaw and write one picture of all, or a film of the turn there and back.

    Returns:
        What was done: bundle, engine, frames, the median time of one in milliseconds, and the file.

    Raises:
        UserError: the bundle, the pose or the file's name cannot be used.
    """
    if out.suffix.lower() not in ENDINGS or not out.parent.is_dir():
        why = f"it does not end in {' or '.join(ENDINGS)}, or there is no folder {out.parent}"
        raise UserError(f"cannot write {out}", why, "give a file such as turn.png")
    angles = yaws_of(yaw, frames)
    pictures, times = [], []
    with FaceRenderer(bundle, threads) as renderer:
        record = renderer.manifest.renderer
        for angle in angles:  # all, before the first is rendered
            check_pose(record, angle, pitch, 0.0)
        codes = drawn_codes(record, np.random.default_rng(seed))
        for angle in angles:
            began = time.perf_counter()
            pictures.append(renderer.render(angle, pitch, codes=codes))
            times.append(1000 * (time.perf_counter() - began))
        description = renderer.description
    write_turn(out, pictures)
    return {
        "bundle": str(bundle),
        "engine": description,
        "frames": len(pictures),
        "median_ms": round(float(np.median(times)), 3),
        "out": str(out),
    }


def write_turn(out: Path, pictures: list[Picture]) -> None:
    """Pictures beside each other (.png), or one after another and back (.mp4): to a temporary name, then renamed.

    Raises:
        UserError: the file cannot be written.
    """
    temporary = out.with_name(f".{os.getpid()}.{out.name}")
    try:
        if out.suffix.lower() == ".png":
            written = cv2.imwrite(str(temporary), cv2.cvtColor(np.hstack(pictures), cv2.COLOR_RGB2BGR))
        else:
            written = _write_film(temporary, [*pictures, *pictures[-2:0:-1]])
        if not written:
            raise UserError(f"cannot write {out}", "OpenCV could not", "check the disk and the folder's permissions")
        temporary.replace(out)
    except OSError as error:
        raise UserError(f"cannot write {out}", error.strerror or str(error), "check the disk") from None
    finally:
        temporary.unlink(missing_ok=True)


def _write_film(path: Path, pictures: list[Picture]) -> bool:
    film = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), _RATE, (_SIDE, _SIDE))
    if not film.isOpened():
        return False
    for picture in pictures:
        large = cv2.resize(picture, (_SIDE, _SIDE), interpolation=cv2.INTER_CUBIC)
        film.write(cv2.cvtColor(large, cv2.COLOR_RGB2BGR))
    film.release()
    return True
