"""Faces as torch samples: pictures kept decoded in memory, cropped and varied on the fly."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from npuface_runtime.geometry import box_of_points, crop_of_box
from npuface_toolkit.augment import Augmentation, augmented_crop, plain_crop
from npuface_toolkit.faces import Face, check_inside, read_picture
from npuface_toolkit.heatmaps import boundary_heatmaps
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.student import STRIDE

MEAN = 127.5
STD = 127.5
"""Networks take (rgb - MEAN) / STD."""


class Sample(NamedTuple):
    """A face as the trainer takes it; a batch has one more dimension in front.

    Attributes:
        picture: RGB uint8 [S, S, 3].
        points: [K, 2] in heatmap cells.
        edges: boundary heatmaps [B, S / 4, S / 4].
        weights: how far each point is known [K], 0..1.
        edge_weights: how far each boundary is known [B]: as far as the least known of its points.
    """

    picture: Tensor
    points: Tensor
    edges: Tensor
    weights: Tensor
    edge_weights: Tensor


def normalise(pictures: Tensor) -> Tensor:
    """RGB uint8 [N, H, W, 3] -> float32 [N, 3, H, W] in [-1, 1], channels last in memory."""
    return ((pictures.permute(0, 3, 1, 2).to(torch.float32)) - MEAN) / STD


def to_cells(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Network-input pixels -> heatmap cells; both have their centres at integers."""
    return ((points + 0.5) / STRIDE - 0.5).astype(np.float32)


class FaceSamples(Dataset[Sample]):
    """Labelled faces, cropped and (in training) varied.

    Args:
        faces: what to show.
        size: side S of the network input.
        how: the augmentation; with `train` False only its margin counts.
        seed: sample i of epoch e is drawn from (seed, e, i), so a resumed run sees the same pictures.
    """

    def __init__(
        self,
        faces: Sequence[Face],
        scheme: Scheme,
        size: int,
        how: Augmentation,
        *,
        train: bool,
        sigma: float,
        seed: int = 0,
    ) -> None:
        self.faces = list(faces)
        self.scheme, self.size, self.how, self.train, self.sigma, self.seed = scheme, size, how, train, sigma, seed
        self.epoch = 0
        self._regions: list[tuple[NDArray[np.uint8], NDArray[np.float32]]] = []
        last: tuple[object, NDArray[np.uint8]] | None = None
        for face in self.faces:
            if last is None or last[0] != face.picture:  # faces of one picture stand together
                last = face.picture, read_picture(face.picture)
            check_inside(face, last[1].shape[1], last[1].shape[0])
            self._regions.append(_region(last[1], face.points, how))

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> Sample:
        (picture, points), face = self._regions[index], self.faces[index]
        flipped = False
        if self.train:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            cut, moved, flipped = augmented_crop(picture, points, self.size, self.scheme, self.how, rng)
        else:
            cut, moved, _ = plain_crop(picture, points, self.size, self.how.margin)
        cells = to_cells(moved)
        edges = boundary_heatmaps(cells, self.scheme, self.size // STRIDE, self.sigma)
        weights = np.ones(len(points), np.float32) if face.weights is None else face.weights
        weights = weights[list(self.scheme.flip)] if flipped else weights
        edge_weights = np.array([weights[list(curve)].min() for curve in self.scheme.boundaries], np.float32)
        return Sample(*(torch.from_numpy(part) for part in (cut, cells, edges, weights, edge_weights)))


def _region(
    picture: NDArray[np.uint8], points: NDArray[np.float32], how: Augmentation
) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """The part of a picture that any variation of the face may show, and the points in it.

    A picture with many faces would else be kept whole for each of them.
    """
    crop = crop_of_box(box_of_points(points), how.margin)
    reach = crop.side * (np.sqrt(0.5) * np.exp(how.scale) + how.shift) + 2  # a turned square reaches its half diagonal
    height, width = picture.shape[:2]
    x0, y0 = (int(max(0, np.floor(v - reach))) for v in (crop.x, crop.y))
    x1, y1 = (int(min(n, np.ceil(v + reach) + 1)) for v, n in ((crop.x, width), (crop.y, height)))
    if x0 >= x1 or y0 >= y1:  # the face lies beside its picture
        return picture[:1, :1].copy(), points
    return picture[y0:y1, x0:x1].copy(), (points - np.array([x0, y0], np.float32)).astype(np.float32)
