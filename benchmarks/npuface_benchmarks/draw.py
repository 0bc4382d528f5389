"""Boxes and landmarks on pictures."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_benchmarks.files import write_all
from npuface_runtime.aligner import Face
from npuface_runtime.errors import UserError

Picture = NDArray[np.uint8]

_BOX, _POINT, _RIM = (255, 255, 255), (64, 255, 128), (0, 32, 16)
"""RGB. Light on a dark rim is seen on any skin and background."""
_SUBPIXEL_BITS = 4
"""OpenCV draws at sixteenths of a pixel."""
_POINT_SHARE, _LINE_SHARE = 0.009, 0.003
"""A landmark's radius over the side of the face's box; a line's width over the picture's longer side."""


def draw_faces(frame: Picture, faces: Iterable[Face]) -> Picture:
    """A copy of an RGB frame [H, W, 3] with the boxes and landmarks of faces, in sizes that suit it."""
    picture = np.ascontiguousarray(frame).copy()
    for face in faces:
        draw_face(picture, face.box, face.landmarks)
    return picture


def draw_face(picture: Picture, box: Sequence[float], landmarks: NDArray[np.floating]) -> None:
    """Draw a box (x0, y0, x1, y1) and landmarks [K, 2], in frame pixels, into an RGB picture [H, W, 3]."""
    width = max(1, round(max(picture.shape[:2]) * _LINE_SHARE))
    start, end = _fixed(box[:2]), _fixed(box[2:])
    for colour, thickness in ((_RIM, width + 2), (_BOX, width)):
        cv2.rectangle(picture, start, end, colour, thickness, cv2.LINE_AA, _SUBPIXEL_BITS)
    radius = max(1.0, max(box[2] - box[0], box[3] - box[1]) * _POINT_SHARE)
    rim = radius + max(0.5, radius / 3)
    for colour, size in ((_RIM, rim), (_POINT, radius)):
        for point in landmarks:
            cv2.circle(picture, _fixed(point), round(size * 16), colour, cv2.FILLED, cv2.LINE_AA, _SUBPIXEL_BITS)


def write_picture(path: Path, picture: Picture) -> None:
    """Write an RGB picture [H, W, 3]; the name's ending says in which format.

    Raises:
        UserError: the ending is no picture format's, or the file cannot be written.
    """
    write_all(path.parent, {path.name: encode_picture(picture, path.suffix)})


def encode_picture(picture: Picture, ending: str) -> bytes:
    """An RGB picture [H, W, 3] as the bytes of a file with this name ending, such as `.png`.

    Raises:
        UserError: OpenCV knows no such format.
    """
    if not cv2.haveImageWriter(f"x{ending}"):
        raise UserError(
            "cannot write the picture",
            f"{ending or 'no ending'!r} is no picture format",
            "end its name in .png or .jpg",
        )
    written, data = cv2.imencode(ending, cv2.cvtColor(picture, cv2.COLOR_RGB2BGR))
    if not written:
        raise UserError("cannot write the picture", f"{ending} does not take its {picture.shape}", "use .png")
    return data.tobytes()


def _fixed(point: Sequence[float] | NDArray[np.floating]) -> tuple[int, int]:
    """A point in OpenCV's fixed-point pixels; far outside it is held there, which stays outside and fits 32 bits."""
    x, y = (round(float(np.clip(v, -1e5, 1e5)) * (1 << _SUBPIXEL_BITS)) for v in point)
    return x, y
