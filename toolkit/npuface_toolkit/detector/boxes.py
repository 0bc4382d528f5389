"""Pictures with the boxes of their faces: a CSV, one line a face, beside a folder of pictures.

A line is `name, x0, y0, x1, y1, score`: the tight box around the face's landmarks in pixels of the picture (x right, y
down, pixel centres at integers), and from 0 to 1 how sure it is. A picture without faces is a line with its name alone.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points
from npuface_toolkit.face_files import identity_of_name
from npuface_toolkit.faces import Face, fingerprint_of, is_file, is_held_out

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class BoxedPicture:
    """A picture and its faces: the file, boxes [N, 4], how sure each is [N], 0 to 1, and who it is of, as far as its
    name says.
    """

    file: Path
    boxes: Floats
    scores: Floats
    identity: str


def read_boxes(source: str) -> list[BoxedPicture]:
    """The pictures of `FILE.csv:PICTURES_DIR`, in the order of the file.

    Raises:
        UserError: there is no such file or picture, or a line is damaged.
    """
    name, _, folder = source.partition(":")
    file = Path(name)
    pictures = Path(folder) if folder else file.parent
    if not is_file(file):
        raise UserError(f"cannot read the boxes {file}", "there is no such file", "give FILE.csv:PICTURES_DIR")
    found: dict[str, list[list[float]]] = {}
    try:
        with file.open(newline="", encoding="utf-8") as stream:
            for number, row in enumerate(csv.reader(stream), start=1):
                if row:
                    found.setdefault(row[0], []).extend(_box(row[1:], f"{file}, line {number}"))
    except (UnicodeDecodeError, csv.Error, OSError) as error:
        raise UserError(f"cannot read the boxes {file}", f"it is no CSV in UTF-8 ({error})", "mend the file") from None
    return [_picture(pictures, name, boxes) for name, boxes in found.items()]


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


def _picture(folder: Path, name: str, boxes: list[list[float]]) -> BoxedPicture:
    file = folder / name
    if not is_file(file):
        raise UserError(f"cannot read the picture {file}", "there is no such file", "give FILE.csv:PICTURES_DIR")
    rows = np.array(boxes, np.float32).reshape(-1, 5)
    return BoxedPicture(file, rows[:, :4], rows[:, 4], identity_of_name(name))


def boxed_pictures(faces: Sequence[Face]) -> list[BoxedPicture]:
    """Labelled faces, by picture, as the tight boxes around their points."""
    boxes: dict[Path, list[Floats]] = {}
    for face in faces:
        boxes.setdefault(face.picture, []).append(box_of_points(face.points))
    who = {face.picture: face.identity for face in faces}
    return [
        BoxedPicture(file, np.stack(rows), np.ones(len(rows), np.float32), _who(file, who[file]))
        for file, rows in boxes.items()
    ]


def _who(file: Path, identity: str) -> str:
    """Some formats give the picture itself as the identity; boxes know who it is of by its name."""
    return identity_of_name(identity) if identity.endswith(file.name) else identity


def fingerprint(pictures: Iterable[BoxedPicture]) -> str:
    """What tells sets of pictures apart: a hash of their names and boxes, in order."""
    return fingerprint_of((picture.file, (picture.boxes, picture.scores)) for picture in pictures)


def csv_line(name: str, box: Iterable[float] = (), score: float | None = None) -> list[str]:
    """A line of the file; without a box, that of a picture without faces."""
    return [name, *(f"{value:.2f}" for value in box), *([] if score is None else [f"{score:.3f}"])]


def split_pictures(pictures: Sequence[BoxedPicture], held_out: float) -> tuple[list[BoxedPicture], list[BoxedPicture]]:
    """Those to train on and those held out, about that share of the people in them (see faces.is_held_out)."""
    kept: tuple[list[BoxedPicture], list[BoxedPicture]] = ([], [])
    for picture in pictures:
        kept[is_held_out(picture.identity, held_out)].append(picture)
    return kept
