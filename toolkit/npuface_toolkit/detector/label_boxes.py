"""Boxes for pictures without labels, by a detector that is there: what a detector of one's own is trained on."""

from __future__ import annotations

import csv
import io
import logging
import time
from pathlib import Path

from npuface_runtime.detectors import Detector
from npuface_runtime.errors import UserError
from npuface_toolkit.detector.boxes import csv_line
from npuface_toolkit.faces import read_picture
from npuface_toolkit.label_folder import picture_files
from npuface_toolkit.labelling import scored_faces

_log = logging.getLogger("npuface.label")


def label_boxes(folder: Path, detector: Detector, least: float) -> tuple[str, dict[str, int]]:
    """The faces in a folder's pictures, found on the whole picture and on tiles of it, as the text of a boxes CSV (see
    boxes.py) with names relative to the folder, and the counts. A score is the detector's own, of 1 at most.

    Raises:
        UserError: there are no pictures, one cannot be read, or there is no face in any.
    """
    files = picture_files(folder)
    text = io.StringIO()
    rows = csv.writer(text, lineterminator="\n")
    count, began = 0, time.monotonic()
    for number, file in enumerate(files, start=1):
        name = file.relative_to(folder).as_posix()
        faces = scored_faces(read_picture(file), detector, least)
        rows.writerows([csv_line(name, box, min(1.0, max(0.0, score))) for box, score in faces] or [csv_line(name)])
        count += len(faces)
        if number % 50 == 0:
            left = (time.monotonic() - began) / number * (len(files) - number) / 60
            _log.info("%d of %d pictures, %d faces, %.0f min left", number, len(files), count, left)
    if not count:
        raise UserError(f"cannot label {folder}", "no face was found in it", "give pictures with faces")
    return text.getvalue(), {"pictures": len(files), "faces": count}
