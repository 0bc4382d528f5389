"""Labelled faces as the cast of a film."""

from __future__ import annotations

import numpy as np

from npuface_benchmarks.film import Portrait
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import read_picture
from npuface_toolkit.schemes import Scheme


def choose_portraits(data: str, count: int, seed: int) -> tuple[list[Portrait], Scheme]:
    """Some faces of a data set and its scheme: at most `count`, of different people, chosen by the seed.

    Raises:
        UserError: the data cannot be read; see read_faces.
    """
    faces, scheme = read_faces(data)
    people = {face.identity: face for face in faces}
    names = sorted(people)
    chosen = np.random.default_rng(seed).permutation(len(names))[:count]
    cast = [people[names[i]] for i in chosen]
    return [Portrait(read_picture(face.picture), face.points) for face in cast], scheme
