"""Pictures with the boxes of their faces: a CSV, one line a face, beside a folder of pictures.

A line is `name, x0, y0, x1, y1, score`: the tight box around the face's landmarks in pixels of the picture (x right, y
down, pixel centres at integers), and from 0 to 1 how sure it is. A picture without faces is a line with its name alone.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BoxedPicture:
    """A picture and its faces: the file, boxes [N, 4], and how sure each is [N], 0 to 1."""

    file: Path
    boxes: Floats
    scores: Floats


def read_boxes(source: str) -> list[BoxedPicture]:
    """The pictures of `FILE.csv:PICTURES_DIR`, in the order of the file.

    Raises:
        UserError: there is no such file or picture, or a line is damaged.
    """
    name, _, folder = source.partition(":")
    file = Path(name)
    pictures = Path(folder) if folder else file.parent
    if not file.is_file():
        raise UserError(f"cannot read the boxes {file}", "there is no such file", "give FILE.csv:PICTURES_DIR")
    found: dict[str, list[list[float]]] = {}
    with file.open(newline="", encoding="utf-8") as stream:
        for number, row in enumerate(csv.reader(stream), start=1):
            if row:
                found.setdefault(row[0], []).extend(_box(row[1:], f"{file}, line {number}"))
    return [_picture(pictures / name, boxes) for name, boxes in found.items()]


def _box(values: Sequence[str], where: str) -> list[list[float]]:
    if not any(values):
        return []
    fix = "a line is name, x0, y0, x1, y1, score"
    try:
        box = [float(value) for value in values]
    except ValueError as error:
        raise UserError(f"{where}: bad box", str(error), fix) from None
    if len(box) != 5 or not np.isfinite(box).all() or box[0] >= box[2] or box[1] >= box[3] or not 0 <= box[4] <= 1:
        raise UserError(f"{where}: bad box", f"{', '.join(values)} is no box with a score from 0 to 1", fix)
    return [box]


def _picture(file: Path, boxes: list[list[float]]) -> BoxedPicture:
    if not file.is_file():
        raise UserError(f"cannot read the picture {file}", "there is no such file", "give FILE.csv:PICTURES_DIR")
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    return BoxedPicture(file, rows[:, :4], rows[:, 4])


def csv_line(name: str, box: Iterable[float] = (), score: float | None = None) -> list[str]:
    """A line of the file; without a box, that of a picture without faces."""
    return [name, *(f"{value:.2f}" for value in box), *([] if score is None else [f"{score:.3f}"])]


def split_pictures(pictures: Sequence[BoxedPicture], held_out: float) -> tuple[list[BoxedPicture], list[BoxedPicture]]:
    """Those to train on and those held out, that share of them, chosen by a hash of the picture's name."""
    kept: tuple[list[BoxedPicture], list[BoxedPicture]] = ([], [])
    for picture in pictures:
        digest = hashlib.sha256(picture.file.name.encode()).digest()
        kept[int.from_bytes(digest[:4], "big") / 2**32 < held_out].append(picture)
    return kept
