"""Detectors on the same labelled pictures, in one run: which faces each finds, how well its boxes lie, its false
alarms, and its time, picture by picture in turn.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from npuface_runtime.detectors import Detector, open_detector
from npuface_runtime.errors import UserError
from npuface_toolkit.detector.boxes import BoxedPicture, Floats
from npuface_toolkit.detector.checkpoint import load_detector
from npuface_toolkit.detector.matching import SAME, judge, overlap, summarise
from npuface_toolkit.detector.predict import TorchDetector
from npuface_toolkit.faces import read_picture

_log = logging.getLogger("npuface.evaluate")
SMALL = 1 / 16
"""Side of a face's box (the root of its area) over the picture's longer side below which it counts as small."""


@dataclass(frozen=True)
class DetectorRow:
    """What one detector came to.

    Attributes:
        detector: as it was named.
        pictures, faces, small: looked at.
        recall, recall_small: share of all faces, and of the small ones, that it finds: its landmark box and that of the
            labelled points share half of their union.
        overlap: mean intersection over union with the faces that it finds.
        false: detections a picture that are no labelled face; None where not every face is labelled.
        average_precision: likewise.
        milliseconds: median of a picture, from the frame to the boxes, one thread, measured here.
    """

    detector: str
    pictures: int
    faces: int
    small: int
    recall: float
    recall_small: float | None
    overlap: float
    false: float | None
    average_precision: float | None
    milliseconds: float


def open_any(name: str) -> Detector:
    """A detector by name or file (see npuface_runtime.detectors.open_detector), or a checkpoint, which runs in torch.

    Raises:
        UserError: it is none of these.
    """
    if name.endswith(".safetensors") or not (name == "cascade" or Path(name).exists()):
        network, info = load_detector(name)
        return TorchDetector(network, info.min_score)
    return open_detector(name)


def evaluate_detectors(names: Sequence[str], pictures: Sequence[BoxedPicture], all_labelled: bool) -> list[DetectorRow]:
    """Each detector on every picture.

    Args:
        names: see open_any.
        pictures: with the boxes of their faces.
        all_labelled: whether a detection that is no labelled face is a false alarm.

    Raises:
        UserError: there is no picture, one cannot be read, or a detector cannot be opened.
    """
    if not pictures:
        raise UserError("cannot evaluate the detectors", "the data has no faces", "give labelled pictures")
    detectors = {name: open_any(name) for name in names}
    tallies = {name: _Tally() for name in names}
    with _one_thread():
        for number, picture in enumerate(pictures, start=1):
            frame = read_picture(picture.file)
            for name, detector in detectors.items():
                tallies[name].add(detector, frame, picture.boxes)
            if number % 50 == 0:
                _log.info("%d of %d pictures", number, len(pictures))
    for detector in detectors.values():
        detector.close()
    return [tally.row(name, len(pictures), all_labelled) for name, tally in tallies.items()]


@contextmanager
def _one_thread() -> Iterator[None]:
    """For those who take all there are: torch, in which checkpoints run, and OpenCV, in which the cascade does."""
    before = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before[0])
        cv2.setNumThreads(before[1])


class _Tally:
    """What a detector did so far."""

    def __init__(self) -> None:
        self._times: list[float] = []
        self._scores: list[float] = []
        self._right: list[bool] = []
        self._overlaps: list[float] = []
        self._small: list[bool] = []

    def add(self, detector: Detector, frame: NDArray[np.uint8], faces: Floats) -> None:
        began = time.perf_counter()
        found = detector.detect(frame)
        self._times.append((time.perf_counter() - began) * 1000)
        boxes = np.array([detector.to_landmark_box(face.box) for face in found], np.float32).reshape(-1, 4)
        self._scores += [face.score for face in found]
        self._right += [bool(verdict) for verdict in judge(boxes, faces, np.ones(len(faces), bool))]
        self._overlaps += [float(max((overlap(box, face[None])[0] for box in boxes), default=0.0)) for face in faces]
        sides = np.sqrt((faces[:, 2:] - faces[:, :2]).prod(axis=1)) / max(frame.shape[:2])
        self._small += [bool(side < SMALL) for side in sides]

    def row(self, name: str, pictures: int, all_labelled: bool) -> DetectorRow:
        found = np.array(self._overlaps) >= SAME
        small = np.array(self._small)
        whole = summarise(np.array(self._scores), np.array(self._right, bool), len(found), pictures)
        return DetectorRow(
            name,
            pictures,
            len(found),
            int(small.sum()),
            float(found.mean()),
            float(found[small].mean()) if small.any() else None,
            float(np.array(self._overlaps)[found].mean()) if found.any() else 0.0,
            whole.false if all_labelled else None,
            whole.average_precision if all_labelled else None,
            float(np.median(self._times)),
        )


def as_cells(row: DetectorRow) -> Mapping[str, str]:
    """A row for people."""

    def share(value: float | None) -> str:
        return "-" if value is None else f"{value:.1%}"

    return {
        "detector": Path(row.detector).name,
        f"recall, {row.faces} faces": share(row.recall),
        f"small, {row.small}": share(row.recall_small),
        "IoU": f"{row.overlap:.3f}",
        "false alarms a picture": "-" if row.false is None else f"{row.false:.3f}",
        "AP": "-" if row.average_precision is None else f"{row.average_precision:.3f}",
        "ms a picture, here": f"{row.milliseconds:.2f}",
    }
