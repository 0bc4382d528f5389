"""Labelled faces, their pictures, and splits that keep a person on one side."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError

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


def is_file(path: Path) -> bool:
    """Whether there is such a file; a name that cannot be one names none."""
    try:
        return path.is_file()
    except OSError:  # such as a name that is too long
        return False


def read_picture(path: Path) -> NDArray[np.uint8]:
    """The picture as RGB uint8 [H, W, 3].

    Raises:
        UserError: the file is missing or no picture.
    """
    if not is_file(path):
        raise UserError(f"cannot read the picture {path}", "there is no such file", "check the pictures folder")
    try:
        data = np.frombuffer(path.read_bytes(), np.uint8)
    except OSError as error:
        raise UserError(f"cannot read the picture {path}", error.strerror or str(error), "check the file") from None
    picture = cv2.imdecode(data, cv2.IMREAD_COLOR) if len(data) else None
    if picture is None:
        raise UserError(
            f"cannot read the picture {path}", "it is not a picture that OpenCV reads", "re-save it as JPEG or PNG"
        )
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), np.uint8)


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


def fingerprint(faces: Iterable[Face]) -> str:
    """What tells sets of faces apart: a hash of their pictures' names, their points and weights, in order."""
    return fingerprint_of(
        (face.picture, (face.points,) if face.weights is None else (face.points, face.weights)) for face in faces
    )


def fingerprint_of(labels: Iterable[tuple[Path, Iterable[NDArray[np.generic]]]]) -> str:
    """The same of whatever is known of pictures: each file, and the arrays that are its labels."""
    digest = hashlib.sha256()
    for file, arrays in labels:
        digest.update(file.name.encode("utf-8", "surrogateescape") + b"\0")
        for array in arrays:
            digest.update(array.tobytes())
    return digest.hexdigest()[:16]


def trusted(faces: Sequence[Face], share: float) -> list[Face]:
    """The faces, with labels that a network gave counting `share`, 0..1, of what they did; 0 leaves them unlabelled."""
    return [face if face.weights is None else replace(face, weights=face.weights * np.float32(share)) for face in faces]


def check_by_people(faces: Sequence[Face], what: str) -> None:
    """Refuse to measure on labels that a network gave; `what` cannot be done with them.

    Raises:
        UserError: a face has weights.
    """
    if any(face.weights is not None for face in faces):
        raise UserError(what, "networks labelled its faces, and that measures nothing", "give labels by people")


def check_share(held_out: float) -> None:
    """Refuse to hold out what is no share of the people.

    Raises:
        UserError: it is not above 0, or above 1.
    """
    if not 0 < held_out <= 1:
        raise UserError(f"cannot hold out {held_out}", "it is a share of identities", "give 0.2 for instance")


def split_by_identity(faces: Sequence[Face], held_out: float) -> tuple[list[Face], list[Face]]:
    """(training, held out): each identity wholly on one side, chosen by a hash of its name.

    The choice does not depend on the order or on which other faces are there, so two files with the
    same people split alike. Faces with weights are never held out: what a network labelled measures nothing. In a
    picture of somebody who is held out they are not trained on either.
    """
    if not 0 <= held_out <= 1:
        raise ValueError(f"held_out {held_out} is not in 0..1")

    def is_out(face: Face) -> bool:
        return face.weights is None and is_held_out(face.identity, held_out)

    out = [face for face in faces if is_out(face)]
    pictures = {face.picture for face in out}
    known = [face for face in faces if not is_out(face) and (face.weights is None or face.picture not in pictures)]
    return known, out


def is_held_out(identity: str, share: float) -> bool:
    """Whether somebody is among the `share` of all that no training sees: by a hash of the name, the same for every
    network.
    """
    digest = hashlib.sha256(identity.encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") / 2**64 < share
