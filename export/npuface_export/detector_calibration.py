"""Frames for a detector's quantization: a folder's pictures, fitted into the network's input as the runtime does it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_export.calibration import HELD_OUT_FROM, MIN_FACES, UnreadableError, picture_files, read_picture, spread
from npuface_runtime.detectors.boxes import fit_frame
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Shape

Picture = NDArray[np.float32]
_MOST = 150
_MEASURED_EVERY = 3


@dataclass(frozen=True)
class Frames:
    """RGB [H, W, 3] in 0..255: those that give ranges, those that are measured on, and how many could not be read."""

    calibrating: Sequence[Picture]
    measured: Sequence[Picture]
    unreadable: int

    def as_json(self) -> dict[str, int]:
        """For the manifest."""
        return {
            "pictures": len(self.calibrating),
            "measured_on": len(self.measured),
            "unreadable": self.unreadable,
            "measured_on_other_pictures": int(self.measured is not self.calibrating),
        }


def calibration_frames(folder: Path, shape: Shape) -> Frames:
    """A folder's pictures, its subfolders included; every third one is only measured on, where there are enough.

    Raises:
        UserError: there is no such folder, or it has fewer than four pictures that can be read.
    """
    frames, unreadable = [], 0
    for path in spread(picture_files(folder), _MOST):
        try:
            frames.append(fit_frame(read_picture(path), shape[1], shape[0])[0])
        except UnreadableError:
            unreadable += 1
    if len(frames) < MIN_FACES:
        why = f"{len(frames)} of its pictures can be read, {MIN_FACES} are needed"
        raise UserError(f"cannot calibrate on {folder}", why, "give more pictures")
    if len(frames) < HELD_OUT_FROM:
        return Frames(frames, frames, unreadable)
    others = [frame for i, frame in enumerate(frames) if i % _MEASURED_EVERY != _MEASURED_EVERY - 1]
    return Frames(others, frames[_MEASURED_EVERY - 1 :: _MEASURED_EVERY], unreadable)
