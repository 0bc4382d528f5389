"""Readers of labelled faces for the formats people have.

A data set is named `FORMAT:FILE[:PICTURES_DIR]`, where FORMAT is `wflw` (WFLW list file) or `points`
(CSV: name, x0, y0, x1, y1, ...) or `weighted` (CSV: name, x0, y0, w0, x1, y1, w1, ..., where w from 0 to 1 says how far
the point is known; 0 only helps to place the crop). Without PICTURES_DIR the pictures lie beside
the file, or in `images`.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_toolkit.faces import Face, is_file
from npuface_toolkit.metrics import eye_distance
from npuface_toolkit.schemes import Scheme, scheme_by_points

WFLW_ATTRIBUTES = ("pose", "expression", "illumination", "make-up", "occlusion", "blur")


def _points(values: Sequence[str], where: str) -> NDArray[np.float32]:
    try:
        points = np.array([float(v) for v in values], np.float32).reshape(-1, 2)
    except ValueError as error:
        raise UserError(f"{where}: bad points", str(error), "each landmark is two numbers, x and y") from None
    if not np.isfinite(points).all():
        raise UserError(f"{where}: bad points", "a coordinate is not finite", "remove the face or mend the label")
    return points


def identity_of_name(name: str) -> str:
    """`Jane_Doe_03.jpg` and `Jane_Doe/03.jpg` -> `Jane_Doe`; a name without a frame number is its own identity.

    A number of more than seven digits is a date or a time, and no frame of a film.
    """
    path = Path(name)
    stem = re.sub(r"_\d{1,7}$", "", path.stem)
    if path.parent == Path():
        return stem
    return str(path.parent if stem.isdigit() else path.parent / stem)


def _read_points_csv(file: Path, pictures: Path) -> list[Face]:
    return [
        Face(pictures / row[0], _points(row[1:], f"{file.name}, line {n}"), identity_of_name(row[0]))
        for n, row in _rows(file)
    ]


def _rows(file: Path) -> list[tuple[int, list[str]]]:
    """The rows of a CSV, without its heading, and the line of each."""
    with file.open(newline="") as stream:
        reader = csv.reader(stream)
        rows = [(reader.line_num, row) for row in reader if row]
    is_heading = rows and (rows[0][1][0] == "" or not any(_is_number(value) for value in rows[0][1][1:]))
    return rows[1:] if is_heading else rows


def _read_weighted_csv(file: Path, pictures: Path) -> list[Face]:
    """Several faces may share a picture, whose name then says nothing about who they are: it is the identity."""
    faces = []
    for n, row in _rows(file):
        where = f"{file.name}, line {n}"
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
    if not is_file(file):
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
    except (UnicodeDecodeError, csv.Error):
        raise UserError(f"cannot read the data {source!r}", f"{file} is not a text file", "check the path") from None
    except OSError as error:
        raise UserError(f"cannot read the data {source!r}", error.strerror or str(error), "check the file") from None
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
        if not is_file(face.picture):
            raise UserError(
                f"{file}: a picture is missing", f"there is no file {face.picture}", "check the pictures folder"
            )
        if eye_distance(face.points, scheme) == 0:  # NME is over that distance
            why = f"the outer eye corners of a face in {face.picture.name} coincide"
            raise UserError(f"{file}: bad points", why, "mend or remove the label")
    return scheme
