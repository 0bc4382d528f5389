"""What confidence faces have, and places without one: the scale on which a tracker's `min_confidence` is set.

python -m npuface_toolkit.confidence_range student-68 --data wflw:list.txt:images [--form host ...]
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_export.export import export_bundle
from npuface_export.target import target_by_name
from npuface_runtime import FaceAligner
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points
from npuface_toolkit.face_files import read_faces
from npuface_toolkit.faces import Face, read_picture
from npuface_toolkit.student_network import student_network

FORMS = ("relative-threshold", "marginal-threshold", "host", "marginals")
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class ConfidenceRange:
    """Mean confidences over that of a clear face (manifest.Decode.face_confidence).

    Attributes:
        form: the decode form.
        faces: those of the faces [N], the crop around the true points.
        elsewhere: those of as large a box at another place of the same picture [M], which may hold another face.
    """

    form: str
    faces: Floats
    elsewhere: Floats


def confidence_range(name: str, form: str, faces: Sequence[Face], folder: Path) -> ConfidenceRange:
    """Export a student with a decode form, in float for ONNX Runtime, and ask it about faces and about other places.

    Raises:
        UserError: the student or a picture cannot be read, or the form cannot be had or has no confidence.
    """
    manifest = export_bundle(student_network(name), target_by_name("onnxruntime-cpu"), folder, form=form)
    clear = manifest.decode.face_confidence
    if clear is None:
        raise UserError(f"cannot measure {form}", "it has no confidence", "name another form")
    rng = np.random.default_rng(0)
    here, there = [], []
    with FaceAligner(folder) as aligner:
        for face in faces:
            picture, box = read_picture(face.picture), box_of_points(face.points)
            other = other_place(box, picture.shape, rng)
            boxes = box[None] if other is None else np.stack([box, other])
            first, *second = (_mean(found.confidence) / clear for found in aligner.align(picture, boxes=boxes))
            here.append(first)
            there += second
    return ConfidenceRange(form, np.array(here, np.float32), np.array(there, np.float32))


def other_place(box: Floats, shape: tuple[int, ...], rng: np.random.Generator) -> Floats | None:
    """Somewhere else in a picture.

    Args:
        box: x0, y0, x1, y1 in pixels.
        shape: of the picture, height and width first.

    Returns:
        A box as large, inside the picture and beside the first; None where twenty draws find none.
    """
    width, height = box[2:] - box[:2]
    room = np.array([shape[1] - width, shape[0] - height])
    if min(room) <= 0:
        return None
    for _ in range(20):
        corner = rng.uniform(0, room).astype(np.float32)
        if any(abs(corner - box[:2]) > (width, height)):
            return np.concatenate([corner, corner + (box[2:] - box[:2])])
    return None


def _mean(confidence: Floats | None) -> float:
    return float("nan") if confidence is None else float(confidence.mean())


def _span(values: Floats) -> str:
    if not len(values):
        return "none"
    low, high = np.quantile(values, (0.05, 0.95))
    return f"{low:.2f} to {high:.2f} ({len(values)})"


def main() -> int:
    """The command line; see the module."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("student", help="a checkpoint or a shipped student")
    parser.add_argument("--data", required=True, help="FORMAT:FILE[:PICTURES_DIR]")
    parser.add_argument("--form", action="append", help="a decode form; repeatable")
    given = parser.parse_args()
    try:
        faces, _ = read_faces(given.data)
        for form in given.form or FORMS:
            with tempfile.TemporaryDirectory() as folder:
                found = confidence_range(given.student, form, faces, Path(folder) / "bundle")
            print(f"{form}: 5 to 95 % of faces {_span(found.faces)}, of other places {_span(found.elsewhere)}")
    except UserError as error:
        print(f"error: {error.what}\n  why: {error.why}\n  fix: {error.fix}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
