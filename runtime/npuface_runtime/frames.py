"""Frames of the usual kinds -> RGB uint8."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from npuface_runtime.errors import UserError

_CHANNELS = (1, 3, 4)
_COLOURS = ("rgb", "bgr")


def as_rgb(frame: ArrayLike, colour: str = "rgb") -> NDArray[np.uint8]:
    """Any usual frame -> RGB uint8 [H, W, 3], contiguous; a frame that is that already is not copied.

    Args:
        frame: [H, W] or [H, W, 1] grey, [H, W, 3], or [H, W, 4] whose alpha is dropped (cameras that pad
            pixels to four bytes leave it 0, so blending by it would blacken them). uint8, or float: in 0..1
            where no value is over 1, else in 0..255.
        colour: order of the channels, "rgb" or "bgr".

    Raises:
        UserError: the frame is of another kind, empty, or has values that are not finite or out of range.
    """
    check_colour(colour)
    try:
        picture = np.asarray(frame)
        why = _unusable(picture)
    except ValueError:
        why = "its rows have different lengths"
    if why:
        raise UserError("cannot use this frame", why, "give uint8 or float pixels [H, W], [H, W, 3] or [H, W, 4]")
    if picture.dtype != np.uint8:
        picture = _bytes_of_float(picture)
    if picture.ndim == 2:
        picture = picture[:, :, None]
    if picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    rgb = picture[:, :, :3] if colour == "rgb" else picture[:, :, 2::-1]
    return np.ascontiguousarray(rgb, np.uint8)


def check_rgb(frame: object) -> None:
    """Raises UserError where a frame is no RGB uint8 [H, W, 3], as what needs just that would misread it."""
    if not isinstance(frame, np.ndarray):
        why = f"it is of type {type(frame).__name__}, no array"
    elif frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3:
        why = f"its values are {frame.dtype.name} and its shape is {frame.shape}, not uint8 [H, W, 3]"
    else:
        return
    raise UserError("cannot use this frame", why, "make it with npuface_runtime.frames.as_rgb")


def check_colour(colour: str) -> None:
    """Raises UserError where `colour` is no order of channels that this library knows."""
    if colour not in _COLOURS:
        raise UserError(f"unknown colour order {colour!r}", "it is not rgb or bgr", "use 'rgb', or 'bgr' for OpenCV")


def _unusable(picture: NDArray[Any]) -> str | None:
    """Why an array is no frame; None if it is one."""
    if picture.ndim not in (2, 3) or (picture.ndim == 3 and picture.shape[2] not in _CHANNELS):
        return f"its shape is {picture.shape}"
    if picture.size == 0:
        return f"it is empty, its shape is {picture.shape}"
    if picture.dtype != np.uint8 and picture.dtype.kind != "f":
        return f"its values are {picture.dtype.name}"
    return None


def _bytes_of_float(picture: NDArray[np.floating]) -> NDArray[np.uint8]:
    low, high = float(picture.min()), float(picture.max())
    if not (low >= 0 and high <= 255):
        raise UserError(
            "cannot use this frame",
            "its values are not finite" if not np.isfinite([low, high]).all() else f"they run from {low:g} to {high:g}",
            "scale them to 0..1 or 0..255",
        )
    return np.asarray(np.rint(picture * (255 if high <= 1 else 1)), np.uint8)
