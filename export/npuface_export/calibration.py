"""Pictures of faces -> what a quantizer is calibrated on, and what its result is measured on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors import open_detector
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import Crop, Shape, crop_of_box
from npuface_runtime.sampling import sample_crop

Picture = NDArray[np.float32]
"""A cut face, RGB [H, W, 3], 0..255."""
_T = TypeVar("_T")
_Face = tuple[Path, Crop]

MAX_PICTURES = 200
MIN_FACES = 4
HELD_OUT_FROM = 12
"""With fewer faces than this, all of them calibrate, and the result is measured on the same ones."""
_MEASURED_EVERY = 3
_SAMPLES, _MEASURED = 100, 60
"""Crops to calibrate on, at least, and faces to measure on, at most."""
_CORNERS = np.array([(0, 0), (-1, -1), (1, -1), (-1, 1), (1, 1)])
_BLOCKS = 8
"""Along a side of a heatmap: what coverage is counted in."""
_SHIFT, _SCALE, _ROTATION = (0.1, 0.25), 0.2, 0.5
"""Of the varied crops: shift over the side, change of the side (as a logarithm), turn in radians."""


@dataclass(frozen=True)
class CalibrationFaces:
    """Faces for quantization.

    Attributes:
        varied: crops shifted towards every corner, scaled and turned, to take ranges from.
        plain: crops as the runtime cuts them, to measure on.
        pictures, without_face, unreadable: pictures that were looked at, and those that gave no face.
        held_out: whether `plain` shows other pictures than `varied`.
    """

    varied: Sequence[Picture]
    plain: Sequence[Picture]
    pictures: int
    without_face: int
    unreadable: int
    held_out: bool


def calibration_faces(folder: Path, shape: Shape, margin: float) -> CalibrationFaces:
    """Find and cut the faces of a folder, its subfolders included. The same folder gives the same crops.

    Args:
        folder: with pictures that OpenCV reads; at most MAX_PICTURES of them, spread evenly, are looked at.
        shape: height and width of the network input.
        margin: of the network's crops.

    Raises:
        UserError: there is no such folder, no picture in it, or fewer than MIN_FACES faces.
    """
    paths = spread(picture_files(folder), MAX_PICTURES)
    faces, without_face, unreadable = _find_faces(paths, margin)
    if len(faces) < MIN_FACES:
        raise UserError(
            f"cannot calibrate on {folder}",
            f"only {len(faces)} of its {len(paths)} pictures show a face that the cascade detector finds, "
            f"{MIN_FACES} are needed",
            "give more pictures with upright faces",
        )
    held_out = len(faces) >= HELD_OUT_FROM
    plain = faces[_MEASURED_EVERY - 1 :: _MEASURED_EVERY] if held_out else faces
    others = [face for i, face in enumerate(faces) if i % _MEASURED_EVERY != _MEASURED_EVERY - 1] if held_out else faces
    return CalibrationFaces(
        _varied(spread(others, _SAMPLES), shape),
        [sample_crop(read_picture(path), crop, shape) for path, crop in spread(plain, _MEASURED)],
        len(paths),
        without_face,
        unreadable,
        held_out,
    )


def coverage(cells: NDArray[np.float32], heatmap: tuple[int, int]) -> float:
    """Share of the 8 x 8 blocks of a heatmap (height, width) that points [..., 2] (in cells) fall into."""
    return len(_blocks_reached(cells, heatmap)) / _BLOCKS**2


def corners(cells: NDArray[np.float32], heatmap: tuple[int, int]) -> int:
    """How many of the four blocks in the corners of a heatmap points [..., 2] (in cells) fall into."""
    ends = (0, _BLOCKS - 1)
    return len(_blocks_reached(cells, heatmap) & {(x, y) for x in ends for y in ends})


def _blocks_reached(cells: NDArray[np.float32], heatmap: tuple[int, int]) -> set[tuple[int, int]]:
    parts = np.clip((cells + 0.5) / (heatmap[1], heatmap[0]) * _BLOCKS, 0, _BLOCKS - 1e-3).astype(int)
    return {(int(x), int(y)) for x, y in parts.reshape(-1, 2)}


def _vary(crop: Crop, index: int, rng: np.random.Generator) -> Crop:
    """Every fifth crop keeps the face in the middle, the others push it towards one corner each."""
    shift = _CORNERS[index % len(_CORNERS)] * rng.uniform(*_SHIFT, 2) * crop.side
    side = crop.side * float(np.exp(rng.uniform(-_SCALE, _SCALE)))
    return Crop(crop.x + float(shift[0]), crop.y + float(shift[1]), side, float(rng.uniform(-_ROTATION, _ROTATION)))


def _varied(faces: Sequence[_Face], shape: Shape) -> list[Picture]:
    rng = np.random.default_rng(0)
    each = -(-_SAMPLES // len(faces))
    crops: list[Picture] = []
    for path, crop in faces:
        frame = read_picture(path)
        crops += [sample_crop(frame, _vary(crop, len(crops) + i, rng), shape) for i in range(each)]
    return crops


def picture_files(folder: Path) -> list[Path]:
    """The pictures in a folder and its subfolders. Raises UserError where there is no folder, or no picture."""
    if not folder.is_dir():
        raise UserError(
            f"cannot calibrate on {folder}", "there is no such folder", "give a folder of pictures with faces"
        )
    paths = sorted(path for path in folder.rglob("*") if path.is_file() and cv2.haveImageReader(str(path)))
    if not paths:
        raise UserError(f"cannot calibrate on {folder}", "it has no pictures", "give a folder of pictures with faces")
    return paths


def spread(items: Sequence[_T], most: int) -> list[_T]:
    """At most `most` of the items, evenly spread over them."""
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def _find_faces(paths: Sequence[Path], margin: float) -> tuple[list[_Face], int, int]:
    """The surest face of each picture, the number of pictures without one, and of those that cannot be read."""
    detector = open_detector("cascade")
    faces, without_face, unreadable = [], 0, 0
    for path in paths:
        try:
            found = detector.detect(read_picture(path))
        except UnreadableError:
            unreadable += 1
            continue
        if found:
            faces.append((path, crop_of_box(detector.to_landmark_box(found[0].box), margin)))
        else:
            without_face += 1
    return faces, without_face, unreadable


class UnreadableError(Exception):
    """A file that begins like a picture and is none."""


def read_picture(path: Path) -> NDArray[np.uint8]:
    """A picture, RGB uint8 [H, W, 3]. Raises UnreadableError."""
    try:
        picture = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    except cv2.error as error:  # of more pixels than OpenCV takes
        raise UnreadableError from error
    if picture is None:
        raise UnreadableError
    return np.asarray(picture, np.uint8)
