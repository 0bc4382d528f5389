"""Labelled faces: readers for the formats people have, and splits that keep a person on one side.

A data set is named `FORMAT:FILE[:PICTURES_DIR]`, where FORMAT is `wflw` (WFLW list file) or `points`
(CSV: name, x0, y0, x1, y1, ...) or `weighted` (CSV: name, x0, y0, w0, x1, y1, w1, ..., where w from 0 to 1 says how far
the point is known; 0 only helps to place the crop). Without PICTURES_DIR the pictures lie beside
the file, or in `images`.
"""

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_toolkit.schemes import Scheme, scheme_by_points

WFLW_ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")
_MAX_OUTSIDE = 0.5
"""How far outside the picture a point may lie, as a share of the points' extent: labels do run over the edge."""


@dataclass(frozen=True)
class Face:
    """One labelled face.

    Attributes:
        picture: the file.
        points: landmarks [K, 2] float32 in picture pixels (x right, y down, pixel centres at integers).
        identity: who it is, as far as the data says; the unit of a split.
        attributes: names of the WFLW attribute subsets the face belongs to.
        weights: how far each point is known [K] float32, 0..1; None where all are.
    """

    picture: Path
    points: NDArray[np.float32]
    identity: str
    attributes: frozenset[str] = frozenset()
    weights: NDArray[np.float32] | None = None


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The picture as RGB uint8 [H, W, 3].

    Raises:
        UserError: the file is missing or no picture.
    """
    if not path.is_file():
        raise UserError(f"cannot read the picture {path}", "there is no such file", "check the pictures folder")
    picture = cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR) if path.stat().st_size else None
    if picture is None:
        raise UserError(
            f"cannot read the picture {path}", "it is not a picture that OpenCV reads", "re-save it as JPEG or PNG"
        )
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


def _points(values: Sequence[str], where: str) -> NDArray[np.float32]:
    try:
        points = np.array([float(v) for v in values], np.float32).reshape(-1, 2)
    except ValueError as error:
        raise UserError(f"{where}: bad points", str(error), "each landmark is two numbers, x and y") from None
    if not np.isfinite(points).all():
        raise UserError(f"{where}: bad points", "a coordinate is not finite", "remove the face or mend the label")
    return points


def _identity_of_name(name: str) -> str:
    """`Jane_Doe_03.jpg` -> `Jane_Doe`; a name without a frame number is its own identity."""
    return re.sub(r"_\d+$", "", Path(name).stem)


def _read_points_csv(file: Path, pictures: Path) -> list[Face]:
    return [
        Face(pictures / row[0], _points(row[1:], f"{file.name}, row {n}"), _identity_of_name(row[0]))
        for n, row in enumerate(_rows(file), start=1)
    ]


def _rows(file: Path) -> list[list[str]]:
    """The rows of a CSV, without its heading."""
    with file.open(newline="") as stream:
        rows = [row for row in csv.reader(stream) if row]
    if (rows and not _is_number(rows[0][1] if len(rows[0]) > 1 else "")) or (rows and rows[0][0] == ""):
        rows = rows[1:]
    return rows


def _read_weighted_csv(file: Path, pictures: Path) -> list[Face]:
    """Several faces may share a picture, whose name then says nothing about who they are: it is the identity."""
    faces = []
    for n, row in enumerate(_rows(file), start=1):
        where = f"{file.name}, row {n}"
        if len(row) % 3 != 1:
            raise UserError(f"{where}: bad points", "a landmark is not three numbers", "give x, y and weight of each")
        values = [value for i, value in enumerate(row[1:]) if i % 3 < 2]
        faces.append(Face(pictures / row[0], _points(values, where), row[0], weights=_weights(row[3::3], where)))
    return faces


def _weights(values: Sequence[str], where: str) -> NDArray[np.float32]:
    try:
        weights = np.array([float(value) for value in values], np.float32)
    except ValueError as error:
        raise UserError(f"{where}: bad weights", str(error), "a landmark is three numbers: x, y and weight") from None
    if not ((weights >= 0) & (weights <= 1)).all():
        raise UserError(f"{where}: bad weights", "a weight is not in 0..1", "0 is unknown, 1 is certain")
    return weights


def _read_wflw_list(file: Path, pictures: Path) -> list[Face]:
    faces = []
    for n, line in enumerate(file.read_text().splitlines(), start=1):
        fields = line.split()
        if not fields:
            continue
        tail = 4 + len(WFLW_ATTRIBUTES) + 1
        if len(fields) <= tail:
            raise UserError(
                f"{file.name}, line {n}: too short",
                "a WFLW line ends in a box, six attributes and a name",
                "check the file",
            )
        flags = fields[-1 - len(WFLW_ATTRIBUTES) : -1]
        attributes = frozenset(a for a, flag in zip(WFLW_ATTRIBUTES, flags, strict=True) if flag == "1")
        points = _points(fields[:-tail], f"{file.name}, line {n}")
        faces.append(Face(pictures / fields[-1], points, fields[-1], attributes))
    return faces


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


_READERS: dict[str, Callable[[Path, Path], list[Face]]] = {
    "points": _read_points_csv,
    "weighted": _read_weighted_csv,
    "wflw": _read_wflw_list,
}


def source_files(source: str) -> tuple[str, Path, Path]:
    """What `FORMAT:FILE[:PICTURES_DIR]` names: the format, the file, and the folder of the pictures.

    Raises:
        UserError: the text is wrong, or there is no such file.
    """
    form, _, rest = source.partition(":")
    if form not in _READERS or not rest:
        raise UserError(
            f"cannot read the data {source!r}",
            "it is not FORMAT:FILE[:PICTURES_DIR] with FORMAT wflw, points or weighted",
            "write for instance points:labels.csv:pictures",
        )
    name, _, folder = rest.partition(":")
    file = Path(name)
    if not file.is_file():
        raise UserError(f"cannot read the data {source!r}", f"there is no file {file}", "check the path")
    beside = file.parent / "images"
    return form, file, Path(folder) if folder else (beside if beside.is_dir() else file.parent)


def read_faces(source: str) -> tuple[list[Face], Scheme]:
    """The faces that `FORMAT:FILE[:PICTURES_DIR]` names, and their landmark scheme.

    Raises:
        UserError: the text, the file, a picture or a label is wrong; the message names it.
    """
    form, file, pictures = source_files(source)
    try:
        faces = _READERS[form](file, pictures)
    except UnicodeDecodeError:
        raise UserError(f"cannot read the data {source!r}", f"{file} is not a text file", "check the path") from None
    if not faces:
        raise UserError(f"cannot read the data {source!r}", f"{file} has no faces", "check the file")
    return faces, _checked_scheme(faces, file)


def one_scheme(schemes: Iterable[Scheme]) -> Scheme:
    """The scheme that several data sources share.

    Raises:
        UserError: they differ.
    """
    named = {scheme.name: scheme for scheme in schemes}
    if len(named) != 1:
        raise UserError("cannot mix the data", f"it has the schemes {', '.join(named)}", "give data of one scheme")
    return next(iter(named.values()))


def _checked_scheme(faces: list[Face], file: Path) -> Scheme:
    counts = {len(face.points) for face in faces}
    if len(counts) > 1:
        raise UserError(f"{file}: mixed labels", f"its faces have {sorted(counts)} points", "keep one scheme a file")
    scheme = scheme_by_points(counts.pop())
    for face in faces:
        if not face.picture.is_file():
            raise UserError(
                f"{file}: a picture is missing", f"there is no file {face.picture}", "check the pictures folder"
            )
    return scheme


def check_inside(face: Face, width: int, height: int) -> None:
    """Refuse a face whose points lie so far outside its picture that the label must be wrong.

    Raises:
        UserError: a point lies outside by more than half of the face's own extent.
    """
    extent = float(np.ptp(face.points, axis=0).max())
    low, high = face.points.min(axis=0), face.points.max(axis=0)
    slack = _MAX_OUTSIDE * extent
    if low.min() < -slack or high[0] > width - 1 + slack or high[1] > height - 1 + slack:
        raise UserError(
            f"{face.picture.name}: points outside the picture",
            f"they span x {low[0]:.0f}..{high[0]:.0f}, y {low[1]:.0f}..{high[1]:.0f} in a {width} x {height} picture",
            "mend or remove the label",
        )


def trusted(faces: Sequence[Face], share: float) -> list[Face]:
    """The faces, with labels that a network gave counting `share`, 0..1, of what they did; 0 leaves them unlabelled."""
    return [face if face.weights is None else replace(face, weights=face.weights * np.float32(share)) for face in faces]


def split_by_identity(faces: Sequence[Face], held_out: float) -> tuple[list[Face], list[Face]]:
    """(training, held out): each identity wholly on one side, chosen by a hash of its name.

    The choice does not depend on the order or on which other faces are there, so two files with the
    same people split alike. Faces with weights are never held out: what a network labelled measures nothing.
    """
    if not 0 <= held_out <= 1:
        raise ValueError(f"held_out {held_out} is not in 0..1")

    def is_out(face: Face) -> bool:
        digest = hashlib.sha256(face.identity.encode()).digest()
        return face.weights is None and int.from_bytes(digest[:8], "big") / 2**64 < held_out

    return [face for face in faces if not is_out(face)], [face for face in faces if is_out(face)]
