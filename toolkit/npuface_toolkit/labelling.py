"""Labels for pictures without labels, by networks that know faces: what a student is distilled from.

A face is found by a detector, on the whole picture and on overlapping tiles of it. A network then says where its points
are several times, in crops of several sizes and mirrored; the median is the label, and how far the answers lie apart
says how far it can be trusted. Where one network lacks points, such as those of another scheme, the next fills them in.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from npuface_runtime.detectors import Detector
from npuface_runtime.detectors.boxes import distinct
from npuface_runtime.detectors.detector import Box
from npuface_runtime.geometry import box_of_points, crop_of_box
from npuface_toolkit.augment import warp
from npuface_toolkit.checkpoint import load_student
from npuface_toolkit.decoding import confidence, decoded
from npuface_toolkit.metrics import eye_distance
from npuface_toolkit.samples import normalise
from npuface_toolkit.schemes import Scheme, scheme_by_name
from npuface_toolkit.student import STRIDE

Floats = NDArray[np.float32]
Picture = NDArray[np.uint8]

_TILES = (640, 320)
_OVERLAP = 0.5
_NEAR_EDGE = 0.02
"""Share of a tile's side within which a face counts as cut by the tile's edge."""
_SAME_FACE = 0.4
"""Overlap (intersection over union) above which two boxes are one face."""
_ROUNDS = 3
_CROPS = (0.97, 1.02, 1.07)
_SPREAD = 0.05
"""Mean distance of the answers from their median, over that of the outer eye corners, beyond which nothing is known."""
_LEAST_EYES = 9.0
"""Pixels between the outer eye corners below which a face is too small to label."""


class Network(Protocol):
    """Finds points: a peer, or a checkpoint."""

    name: str
    scheme: Scheme
    ours: tuple[int, ...]

    def points(self, picture: Picture, box: Floats) -> Floats:
        """Points [len(ours), 2] of the face in that box of an RGB picture."""
        ...


class Checkpoint:
    """A checkpoint of ours as such a network."""

    def __init__(self, name: str) -> None:
        student, self._info = load_student(name)
        self._student = student.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.name, self.scheme = name, scheme_by_name(self._info.scheme)
        self.ours = tuple(range(self.scheme.points))

    def points(self, picture: Picture, box: Floats) -> Floats:
        """See Network."""
        return self.sure_points(picture, box)[0]

    @torch.no_grad()
    def sure_points(self, picture: Picture, box: Floats) -> tuple[Floats, float]:
        """Points as Network.points, and their mean confidence; 1 where the decode that it was trained with has none."""
        size = self._info.config.input_size
        crop = crop_of_box(box, self._info.margin)
        cut = torch.from_numpy(warp(picture, crop, size))[None]
        heatmaps = self._student(normalise(cut)).heatmaps
        cells, sure = decoded(self._info, heatmaps)[0].numpy(), confidence(self._info, heatmaps)
        return crop.to_frame((cells + 0.5) * STRIDE - 0.5, (size, size)), 1.0 if sure is None else sure


@dataclass(frozen=True)
class Source:
    """Who labels.

    Attributes:
        network: finds the points.
        trust: how far it is trusted at most, 0 to 1.
        points: those of its points that become labels; None takes all. The others only help to place its crop, such as
            a face contour that it draws elsewhere than the data does.
    """

    network: Network
    trust: float
    points: tuple[int, ...] | None = None


def find_faces(picture: Picture, detector: Detector, least: float) -> list[Floats]:
    """Boxes around the landmarks of the faces in an RGB picture, the surest first; none smaller than `least` pixels."""
    return [box for box, _ in scored_faces(picture, detector, least)]


def scored_faces(picture: Picture, detector: Detector, least: float) -> list[tuple[Floats, float]]:
    """The same boxes, each with the detector's score."""
    boxes, scores = [], []
    for x, y, tile in _tiles(picture):
        for face in detector.detect(tile):
            if _is_cut(face.box, (x, y), tile.shape, picture.shape):
                continue
            box = np.array(detector.to_landmark_box(face.box), np.float32) + np.array([x, y, x, y], np.float32)
            if min(box[2:] - box[:2]) >= least:
                boxes.append(box)
                scores.append(float(face.score))
    if not boxes:
        return []
    together = np.stack(boxes)
    return [(together[i], scores[i]) for i in distinct(together, np.array(scores, np.float32), _SAME_FACE)]


def _is_cut(box: Box, corner: tuple[int, int], tile: tuple[int, ...], picture: tuple[int, ...]) -> bool:
    """Whether a box touches an edge of its tile beyond which the picture goes on: another tile shows the whole face."""
    height, width = tile[:2]
    near = _NEAR_EDGE * min(height, width)
    edges = (
        (corner[0] > 0, box[0] < near),
        (corner[1] > 0, box[1] < near),
        (corner[0] + width < picture[1], box[2] > width - 1 - near),
        (corner[1] + height < picture[0], box[3] > height - 1 - near),
    )
    return any(goes_on and touches for goes_on, touches in edges)


def _tiles(picture: Picture) -> Iterator[tuple[int, int, Picture]]:
    """The whole picture, then overlapping squares of it, so that small faces are large enough for the detector."""
    yield 0, 0, picture
    height, width = picture.shape[:2]
    for side in _TILES:
        if side >= max(height, width):
            continue
        step = int(side * (1 - _OVERLAP))
        for y in range(0, max(1, height - side + step), step):
            for x in range(0, max(1, width - side + step), step):
                yield x, y, np.ascontiguousarray(picture[y : y + side, x : x + side])


def label_face(picture: Picture, box: Floats, sources: Sequence[Source], scheme: Scheme) -> Floats | None:
    """Points and how far they are known.

    Args:
        picture: RGB [H, W, 3].
        box: around the points, as the detector implies.
        sources: who is asked; a later one only for the points that none before it gives.

    Returns:
        [K, 3]: x, y and weight; None where the face is too small, the answers lie too far apart, or a point is left
        that nobody gives.
    """
    label = np.full((scheme.points, 3), np.nan, np.float32)
    for source in sources:
        found = _agreed(picture, box, source.network, scheme)
        if found is None:
            return None
        points, spread = found
        box = box_of_points(points[~np.isnan(points[:, 0])])
        trust = float(np.clip(1.2 - spread / (0.8 * _SPREAD), 0.2, 1)) * source.trust
        taken = ~np.isnan(points[:, 0]) & np.isnan(label[:, 0])
        if source.points is not None:
            taken &= np.isin(np.arange(scheme.points), source.points)
        label[taken, :2], label[taken, 2] = points[taken], trust
    return label if np.isfinite(label).all() else None


def _agreed(picture: Picture, box: Floats, network: Network, scheme: Scheme) -> tuple[Floats, float] | None:
    """The median of a network's answers [K, 2], NaN for points it lacks, and their spread."""
    for _ in range(_ROUNDS):  # the crop that it wants is that around its own points
        points = network.points(picture, box)
        if min(np.ptp(points, axis=0)) < _LEAST_EYES:
            return None
        box = box_of_points(points)
    centre, half = (box[:2] + box[2:]) / 2, (box[2:] - box[:2]) / 2
    answers = np.stack(
        [
            answer(picture, np.concatenate([centre - half * size, centre + half * size]), network, scheme, mirrored)
            for size in _CROPS
            for mirrored in (False, True)
        ]
    )
    given = np.asarray(np.isfinite(answers).all(axis=(0, 2)))
    median = np.where(given[:, None], np.median(answers, axis=0), np.nan).astype(np.float32)
    eyes = float(eye_distance(median, scheme))
    given[list(scheme.jaw)] = False  # on the contour networks are unsure of where along it a point is
    spread = float(np.linalg.norm(answers - median, axis=-1)[:, given].mean()) / max(eyes, 1e-6)
    return (median, spread) if eyes >= _LEAST_EYES and spread <= _SPREAD else None


def answer(picture: Picture, box: Floats, network: Network, scheme: Scheme, mirrored: bool) -> Floats:
    """One answer of a network about the face in a box of an RGB picture, on request from the picture's mirror image:
    [K, 2] in the picture, NaN for points that it lacks."""
    given = np.full((scheme.points, 2), np.nan, np.float32)
    if not mirrored:
        given[list(network.ours)] = network.points(picture, box)
        return given
    last = picture.shape[1] - 1
    turned = np.array([last - box[2], box[1], last - box[0], box[3]], np.float32)
    found = network.points(picture[:, ::-1], turned)
    found[:, 0] = last - found[:, 0]
    given[[scheme.flip[point] for point in network.ours]] = found
    return given
