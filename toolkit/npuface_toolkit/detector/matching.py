"""How well a detector does on pictures whose faces are known: average precision, recall, false alarms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.detectors import Detector
from npuface_toolkit.detector.boxes import BoxedPicture, Floats
from npuface_toolkit.faces import read_picture

SAME = 0.5
"""Intersection over union from which a detection is the face."""


@dataclass(frozen=True)
class Found:
    """What a detector finds at its own least score.

    Attributes:
        pictures, faces: looked at.
        recall: share of the faces that it finds.
        false: detections a picture that are no face.
        average_precision: area under precision over recall, at every score down to the least
            ("The PASCAL Visual Object Classes Challenge", Everingham et al., IJCV 2010, section 4.2).
    """

    pictures: int
    faces: int
    recall: float
    false: float
    average_precision: float


@dataclass(frozen=True)
class Judged:
    """Detections on pictures whose faces are known.

    Attributes:
        scores, right: of each detection [N], and whether it is a face that no surer one took.
        faces, pictures: that were looked at.
    """

    scores: NDArray[np.float64]
    right: NDArray[np.bool_]
    faces: int
    pictures: int

    def at(self, least: float) -> Found:
        """What is found at a least score."""
        taken = self.scores >= least
        return summarise(self.scores[taken], self.right[taken], self.faces, self.pictures)

    def best_score(self) -> float:
        """The least score with the best F1, the harmonic mean of precision and recall; 0.5 where nothing is right."""
        order = np.argsort(-self.scores, kind="stable")
        hits = np.cumsum(self.right[order])
        f1 = 2 * hits / (np.arange(1, len(hits) + 1) + self.faces)
        return float(self.scores[order][int(np.argmax(f1))]) if hits.size and hits[-1] else 0.5


def judge_all(detector: Detector, pictures: Sequence[BoxedPicture], sure: float = 0.5) -> Judged:
    """Compare a detector's landmark boxes with those of the pictures; faces below `sure` count neither way."""
    scores: list[float] = []
    right: list[bool] = []
    faces = 0
    for picture in pictures:
        known = picture.scores >= sure
        found = detector.detect(read_picture(picture.file))
        boxes = np.array([detector.to_landmark_box(face.box) for face in found], np.float32).reshape(-1, 4)
        for face, verdict in zip(found, judge(boxes, picture.boxes, known), strict=True):
            if verdict is not None:
                scores.append(face.score)
                right.append(verdict)
        faces += int(known.sum())
    return Judged(np.array(scores), np.array(right, bool), faces, len(pictures))


def judge(found: Floats, boxes: Floats, known: NDArray[np.bool_]) -> list[bool | None]:
    """Of each detection [N, 4], the surest first: whether it is a known face that no surer one took; None where it is
    one that counts neither way.
    """
    free = known.copy()
    verdicts: list[bool | None] = []
    for box in found:
        overlaps = overlap(box, boxes)
        best = int(np.argmax(np.where(free, overlaps, -1))) if len(boxes) else 0
        if len(boxes) and free[best] and overlaps[best] >= SAME:
            free[best] = False
            verdicts.append(True)
        else:
            verdicts.append(None if (overlaps[~known] >= SAME).any() else False)
    return verdicts


def overlap(box: Floats, boxes: Floats) -> Floats:
    """Intersection over union of a box with boxes [N, 4]."""
    low, high = np.maximum(box[:2], boxes[:, :2]), np.minimum(box[2:], boxes[:, 2:])
    shared = np.clip(high - low, 0, None).prod(axis=1)
    areas = (box[2:] - box[:2]).prod() + (boxes[:, 2:] - boxes[:, :2]).prod(axis=1)
    return np.asarray(shared / np.maximum(areas - shared, 1e-6), np.float32)


def summarise(scores: NDArray[np.float64], right: NDArray[np.bool_], faces: int, pictures: int) -> Found:
    """Scores [N] and whether each was right -> the figures."""
    order = np.argsort(-scores, kind="stable")
    hits = np.cumsum(right[order])
    precision = hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]  # precision at this recall or a higher one
    area = float((best * right[order]).sum() / max(1, faces))
    return Found(pictures, faces, float(right.sum() / max(1, faces)), float((~right).sum() / max(1, pictures)), area)
