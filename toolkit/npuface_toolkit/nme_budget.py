"""A budget in NME for the search of a recipe: what quantization may cost on labelled faces."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from npuface_export.search import Budget
from npuface_runtime.errors import UserError
from npuface_runtime.geometry import box_of_points, crop_of_box
from npuface_runtime.manifest import Manifest
from npuface_runtime.sampling import sample_crop
from npuface_toolkit.faces import Face, read_picture
from npuface_toolkit.metrics import face_errors
from npuface_toolkit.schemes import Scheme

_MOST = 200
"""Faces that are judged on, evenly spread: every recipe that is tried runs on all of them."""


def nme_budget(limit: float, faces: Sequence[Face], scheme: Scheme, calibration: Path, exact: Manifest) -> Budget:
    """A relative increase of the NME of at most `limit` (0.01 is 1 %) on labelled faces.

    Args:
        faces: with their true points, each cropped around them.
        calibration: the folder of calibration pictures, none of which may be among the faces'.
        exact: manifest of the float model.

    Raises:
        UserError: the data has another landmark scheme than the model, or shares pictures with the calibration.
    """
    what = "cannot judge a recipe on these faces"
    if scheme.name != exact.landmarks.scheme:
        why = f"they have {scheme.name} landmarks, the model {exact.landmarks.scheme}"
        raise UserError(what, why, "give data of the model's own scheme")
    calibrates = {path.resolve() for path in calibration.rglob("*")}
    shared = sum(face.picture.resolve() in calibrates for face in faces)
    if shared:
        why = f"{shared} of their pictures are in the calibration folder {calibration}"
        raise UserError(what, why, "give other people's pictures to one of the two")
    chosen = faces[:: -(-len(faces) // _MOST)]
    truth = np.stack([face.points for face in chosen])
    crops = [crop_of_box(box_of_points(points), exact.preprocess.margin) for points in truth]
    shape = exact.input_shape

    def nme(cells: NDArray[np.float32]) -> float:
        inside = exact.heatmap.to_pixels(cells)
        points = np.stack([crop.to_frame(found, shape) for crop, found in zip(crops, inside, strict=True)])
        return float(face_errors(points, truth, scheme).mean())

    return Budget(
        "relative NME increase",
        limit,
        [sample_crop(read_picture(face.picture), crop, shape) for face, crop in zip(chosen, crops, strict=True)],
        lambda whole, found: nme(found) / nme(whole) - 1,
    )
