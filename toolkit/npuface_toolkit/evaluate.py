"""Where networks put the points of labelled faces, each cropped around its true points, and how far off that is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_runtime import FaceAligner
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points, crop_of_box
from npuface_toolkit.augment import Augmentation
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.decoding import decoded
from npuface_toolkit.face_files import WFLW_ATTRIBUTES
from npuface_toolkit.faces import Face, read_picture
from npuface_toolkit.metrics import Accuracy, face_errors, summarise
from npuface_toolkit.peers import Peer
from npuface_toolkit.predict import predict_cells
from npuface_toolkit.samples import FaceSamples
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.student import STRIDE

Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Prediction:
    """Where a network puts the points of some faces.

    Attributes:
        model: its name, as the user gave it, or as a peer calls itself.
        points: [N, K, 2] in picture pixels.
        known: which of the scheme's points it gives; the others are as in the truth, and must not be counted.
    """

    model: str
    points: Floats
    known: tuple[int, ...]


@dataclass(frozen=True)
class Evaluation:
    """How far off a network is.

    Attributes:
        prediction: what it said.
        errors: NME of each face [N], as a fraction.
        overall: of all faces.
        subsets: of the faces with each WFLW attribute, and of those with none; empty where faces have no attributes.
    """

    prediction: Prediction
    errors: NDArray[np.float64]
    overall: Accuracy
    subsets: Mapping[str, Accuracy]


def predict(model: str, faces: Sequence[Face], scheme: Scheme) -> Prediction:
    """What a model says.

    Args:
        model: a checkpoint (file or shipped name); a bundle folder, which runs in its engine; or a peer's TOML.
        faces: whose points it shall find, each cropped around the true ones as the model wants it.

    Raises:
        UserError: the model cannot be opened, has another landmark scheme, or gives what is not finite.
    """
    kind: Callable[[str, Sequence[Face], Scheme], Prediction] = _by_checkpoint
    if Path(model).is_dir():
        kind = _by_bundle
    elif Path(model).suffix == ".toml":
        kind = _by_peer
    prediction = kind(model, faces, scheme)
    if not np.isfinite(prediction.points).all():
        raise UserError(f"cannot evaluate {model}", "it gave a coordinate that is not finite", "check its weights")
    return prediction


def measure(prediction: Prediction, faces: Sequence[Face], scheme: Scheme, points: tuple[int, ...]) -> Evaluation:
    """How far off a prediction is, over the landmarks `points`, which it must give."""
    truth = np.stack([face.points for face in faces])
    errors = face_errors(prediction.points, truth, scheme, points)
    subsets: dict[str, Accuracy] = {}
    if any(face.attributes for face in faces):
        marks = {name: np.array([name in face.attributes for face in faces]) for name in WFLW_ATTRIBUTES}
        marks["none of them"] = ~np.any(list(marks.values()), axis=0)
        subsets = {name: summarise(errors[mark], len(points)) for name, mark in marks.items() if mark.any()}
    return Evaluation(prediction, errors, summarise(errors, len(points)), subsets)


def shared_points(predictions: Sequence[Prediction], left_out: Sequence[int] = ()) -> tuple[int, ...]:
    """The landmarks that every prediction gives, less `left_out`.

    Raises:
        UserError: there is none.
    """
    shared = set.intersection(*(set(prediction.known) for prediction in predictions)) - set(left_out)
    if not shared:
        raise UserError("cannot compare these models", "there is no point that all of them give", "leave one out")
    return tuple(sorted(shared))


def _check_scheme(model: str, theirs: str, scheme: Scheme) -> None:
    if theirs == scheme.name:
        return
    fix = "give data of its own scheme"
    if theirs == f"custom-{scheme.points}":
        fix = f"if its landmarks are those of {scheme.name}, export it again with --scheme {scheme.name}"
    raise UserError(f"cannot evaluate {model}", f"it has {theirs} landmarks, the data {scheme.name}", fix)


def _by_checkpoint(model: str, faces: Sequence[Face], scheme: Scheme) -> Prediction:
    student, info = load_student(model)
    _check_scheme(model, info.scheme, scheme)
    size, how = student.config.input_size, Augmentation(margin=info.margin)
    samples = FaceSamples(faces, scheme, size, how, train=False, sigma=info.sigma)
    predicted, _ = predict_cells(student, samples, partial(decoded, info))
    points = [
        crop_of_box(box_of_points(face.points), info.margin).to_frame((found + 0.5) * STRIDE - 0.5, (size, size))
        for face, found in zip(faces, predicted, strict=True)
    ]
    return Prediction(model, np.stack(points), tuple(range(scheme.points)))


def _by_bundle(model: str, faces: Sequence[Face], scheme: Scheme) -> Prediction:
    predicted = []
    with FaceAligner(model) as aligner:
        _check_scheme(model, aligner.manifest.landmarks.scheme, scheme)
        for face in faces:
            boxes = box_of_points(face.points)[None]
            predicted.append(aligner.align(read_picture(face.picture), boxes=boxes)[0].landmarks)
    return Prediction(model, np.stack(predicted), tuple(range(scheme.points)))


def _by_peer(model: str, faces: Sequence[Face], scheme: Scheme) -> Prediction:
    peer = Peer(model)
    _check_scheme(model, peer.scheme.name, scheme)
    predicted = np.stack([face.points for face in faces]).astype(np.float32)
    for found, face in zip(predicted, faces, strict=True):
        found[list(peer.ours)] = peer.points(read_picture(face.picture), box_of_points(face.points))
    return Prediction(peer.name, predicted, tuple(sorted(peer.ours)))
