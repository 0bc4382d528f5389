"""Accuracy of a checkpoint or of a bundle on labelled faces, each cropped around its true points."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_export.decode import HeatmapSpec, form_by_name
from npuface_runtime import FaceAligner
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points
from npuface_toolkit.augment import Augmentation
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.faces import Face, read_picture
from npuface_toolkit.metrics import Accuracy, face_errors, summarise
from npuface_toolkit.predict import predict_cells
from npuface_toolkit.samples import FaceSamples
from npuface_toolkit.schemes import Scheme


def evaluate(model: str, faces: Sequence[Face], scheme: Scheme, points: tuple[int, ...] | None = None) -> Accuracy:
    """NME, failure rate and AUC of a model.

    Args:
        model: a checkpoint (file or shipped name), or a bundle folder, which then runs in its engine.
        faces: whom to measure on.
        scheme: of their points.
        points: landmarks to count; None counts all.

    Raises:
        UserError: the model cannot be opened, or has another landmark scheme.
    """
    errors = _bundle_errors if Path(model).is_dir() else _checkpoint_errors
    return summarise(errors(model, faces, scheme, points), len(points) if points else scheme.points)


def _check_scheme(model: str, theirs: str, scheme: Scheme) -> None:
    if theirs != scheme.name:
        raise UserError(
            f"cannot evaluate {model}",
            f"it has {theirs} landmarks, the data {scheme.name}",
            "give data of its own scheme",
        )


def _checkpoint_errors(
    model: str, faces: Sequence[Face], scheme: Scheme, points: tuple[int, ...] | None
) -> NDArray[np.float64]:
    student, info = load_student(model)
    _check_scheme(model, info.scheme, scheme)
    cells = student.config.heatmap_size
    spec = HeatmapSpec(scheme.points, cells, cells, info.beta, info.threshold, info.sigma)
    how = Augmentation(margin=info.margin)
    samples = FaceSamples(faces, scheme, student.config.input_size, how, train=False, sigma=info.sigma)
    predicted, truth = predict_cells(student, samples, form_by_name(info.decode), spec)
    return face_errors(predicted, truth, scheme, points)


def _bundle_errors(
    model: str, faces: Sequence[Face], scheme: Scheme, points: tuple[int, ...] | None
) -> NDArray[np.float64]:
    predicted = []
    with FaceAligner(model) as aligner:
        _check_scheme(model, aligner.manifest.landmarks.scheme, scheme)
        for face in faces:
            boxes = box_of_points(face.points)[None]
            predicted.append(aligner.align(read_picture(face.picture), boxes=boxes)[0].landmarks)
    return face_errors(np.stack(predicted), np.stack([face.points for face in faces]), scheme, points)
