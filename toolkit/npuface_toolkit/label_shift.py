"""Labels that all lie beside what they label by the same way: found with a network that knows faces, and moved back.

Points that a program has set, or that went through a cropping tool, are often shifted: by a pixel that one counts from
0 and the next from 1, by half a cell of the heatmap that they were read from. A network that learns from pictures and
their mirror images cannot learn such a shift along x: it learns to be unsure, and NME counts the shift as its error.

The answers of the network here to the picture and to its mirror image are averaged, so that they have no shift along x
of their own, whatever it learned. Along y nothing guards against that: ask one that learned from other labels.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.stats import theilslopes

from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points
from npuface_toolkit.face_files import one_scheme, read_faces, source_files
from npuface_toolkit.faces import Face, read_picture
from npuface_toolkit.labelling import Source, answer
from npuface_toolkit.metrics import eye_distance
from npuface_toolkit.schemes import Scheme

_FEWEST = 50
"""Faces below which a shift of a few percent of a face does not stand out from the labels' noise."""
_MOST = 4000
"""Faces from which on more say nothing new; the fit takes memory by their square."""
_ALIKE = 0.1
"""Spread of the faces' sizes, from the tenth percentile to the ninetieth, under which no slope over them is fitted."""


@dataclass(frozen=True)
class LabelFile:
    """A CSV of points: the file, the folder of its pictures, its faces."""

    file: Path
    pictures: Path
    faces: list[Face]


@dataclass(frozen=True)
class Shift:
    """How far labels lie right of and below what they label.

    Attributes:
        pixels: (x, y), of the picture, whatever the face's size.
        share: (x, y), of the distance of the outer eye corners, added to it.
    """

    pixels: tuple[float, float]
    share: tuple[float, float]

    def at(self, eyes: NDArray[np.floating] | float) -> NDArray[np.float64]:
        """The shift [..., 2] in pixels of faces with that distance [...] between the outer eye corners."""
        slope = np.multiply.outer(np.asarray(eyes, np.float64), np.array(self.share))
        return np.asarray(self.pixels + slope, np.float64)


@dataclass(frozen=True)
class Residuals:
    """Labels less what a network says.

    Attributes:
        apart: [N, points, 2] in pixels, over the points that it gives.
        eyes: distance of the labels' outer eye corners [N] in pixels.
    """

    apart: NDArray[np.float64]
    eyes: NDArray[np.float64]

    def nme(self, shift: Shift | None = None) -> float:
        """Mean distance of the labels, moved back by a shift, from what was said, over that of the eye corners."""
        moved = self.apart if shift is None else self.apart - shift.at(self.eyes)[:, None]
        return float((np.linalg.norm(moved, axis=-1).mean(axis=1) / self.eyes).mean())


def residuals(faces: Sequence[Face], source: Source, scheme: Scheme) -> Residuals:
    """Ask a network about labelled faces, each in the box of its labels.

    Args:
        source: whom to ask, and which of its points count; its trust plays no part.

    Raises:
        UserError: a picture cannot be read, none of the points is one that it gives, or the eye corners coincide.
    """
    gives = set(source.network.ours)
    both = {point for point in gives if scheme.flip[point] in gives}  # in the picture and in its mirror image
    counted = sorted(both & set(source.points or both))
    if not counted:
        raise UserError(f"cannot ask {source.network.name}", "it gives none of the points named", "name points it has")
    apart = np.zeros((len(faces), len(counted), 2))
    eyes = np.zeros(len(faces))
    for number, face in enumerate(faces):
        picture, box = read_picture(face.picture), box_of_points(face.points)
        seen = [answer(picture, box, source.network, scheme, mirrored)[counted] for mirrored in (False, True)]
        apart[number] = face.points[counted] - np.mean(seen, axis=0)
        eyes[number] = eye_distance(face.points, scheme)
        if eyes[number] == 0:
            raise UserError(f"{face.picture.name}: bad points", "its outer eye corners coincide", "remove the face")
    return Residuals(apart, eyes)


def fit_shift(found: Residuals) -> Shift:
    """The shift of labels over the faces' size, by the estimator of Theil and Sen, the median slope of the lines
    through two faces, which a fifth of wrong labels hardly moves; of faces of one size the median, in pixels.

    Raises:
        UserError: the faces are too few.
    """
    if len(found.eyes) < _FEWEST:
        why = f"{len(found.eyes)} faces are too few to tell a shift from noise"
        raise UserError("cannot find how far the labels are shifted", why, f"give {_FEWEST} faces or more")
    step = math.ceil(len(found.eyes) / _MOST)
    mean, eyes = found.apart.mean(axis=1)[::step], found.eyes[::step]
    small, usual, large = np.percentile(eyes, (10, 50, 90))
    if large - small < _ALIKE * usual:
        right, below = (float(v) for v in np.median(mean, axis=0))
        return Shift((right, below), (0.0, 0.0))
    lines = [theilslopes(mean[:, axis], eyes) for axis in (0, 1)]
    x, y = ((float(line.intercept), float(line.slope)) for line in lines)
    return Shift((x[0], y[0]), (x[1], y[1]))


def open_labels(sources: Sequence[str]) -> tuple[list[LabelFile], Scheme]:
    """Data of the format `points`, whose files can be written anew.

    Raises:
        UserError: one cannot be read or has another format or scheme, or two files have one name.
    """
    files: list[LabelFile] = []
    schemes: list[Scheme] = []
    for source in sources:
        form, file, pictures = source_files(source)
        if form != "points":
            why = f"its format is {form}, and only points are written again"
            raise UserError(f"cannot move the labels of {file}", why, "write it as points: name, x0, y0, x1, y1, ...")
        if file.name in [other.file.name for other in files]:
            raise UserError(f"cannot move the labels of {file}", "two files have that name", "rename one of them")
        faces, scheme = read_faces(source)
        files.append(LabelFile(file, pictures, faces))
        schemes.append(scheme)
    return files, one_scheme(schemes)


def check_kept(files: Sequence[LabelFile], out: Path) -> None:
    """Refuse a folder in which labels moved back would be written over those given.

    Raises:
        UserError: it is theirs.
    """
    for labels in files:
        if (out / labels.file.name).resolve() == labels.file.resolve():
            raise UserError(f"cannot write to {out}", f"{labels.file} itself lies there", "name another folder")


def moved_back(labels: LabelFile, scheme: Scheme, shift: Shift) -> str:
    """A file's labels moved back, as the text of a CSV like it."""
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    for face in labels.faces:
        points = face.points - shift.at(eye_distance(face.points, scheme))
        inside = face.picture.is_relative_to(labels.pictures)
        name = (face.picture.relative_to(labels.pictures) if inside else face.picture).as_posix()
        rows.writerow([name, *(f"{value:.2f}" for value in points.ravel())])
    return text.getvalue()
