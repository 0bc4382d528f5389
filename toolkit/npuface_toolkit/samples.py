"""Faces as torch samples: pictures kept decoded in memory, cropped and varied on the fly."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from npuface_toolkit.augment import Augmentation, augmented_crop, plain_crop
from npuface_toolkit.faces import Face, check_inside, read_picture
from npuface_toolkit.heatmaps import boundary_heatmaps
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.student import STRIDE

MEAN = 127.5
STD = 127.5
"""Networks take (rgb - MEAN) / STD."""


def normalise(pictures: Tensor) -> Tensor:
    """RGB uint8 [N, S, S, 3] -> float32 [N, 3, S, S] in [-1, 1], channels last in memory."""
    return ((pictures.permute(0, 3, 1, 2).to(torch.float32)) - MEAN) / STD


def to_cells(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Network-input pixels -> heatmap cells; both have their centres at integers."""
    return ((points + 0.5) / STRIDE - 0.5).astype(np.float32)


class FaceSamples(Dataset[tuple[Tensor, Tensor, Tensor]]):
    """(picture uint8 [S, S, 3], points [K, 2] in heatmap cells, boundary heatmaps [B, S/4, S/4]).

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
        self._pictures: list[NDArray[np.uint8]] = []
        for face in self.faces:
            picture = read_picture(face.picture)
            check_inside(face, picture.shape[1], picture.shape[0])
            self._pictures.append(picture)

    def __len__(self) -> int:
        return len(self.faces)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, Tensor]:
        picture, points = self._pictures[index], self.faces[index].points
        if self.train:
            rng = np.random.default_rng((self.seed, self.epoch, index))
            cut, moved = augmented_crop(picture, points, self.size, self.scheme, self.how, rng)
        else:
            cut, moved, _ = plain_crop(picture, points, self.size, self.how.margin)
        cells = to_cells(moved)
        edges = boundary_heatmaps(cells, self.scheme, self.size // STRIDE, self.sigma)
        return torch.from_numpy(cut), torch.from_numpy(cells), torch.from_numpy(edges)
