"""Training pictures for the detector: a part of a picture at a random scale, in front of a part of another one where it
does not fill the input, mirrored, turned a little, and seen through a camera.
"""

from __future__ import annotations

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from npuface_toolkit.camera_effects import CameraEffects, camera_picture
from npuface_toolkit.detector.boxes import BoxedPicture, Floats
from npuface_toolkit.detector.config import Augmentation
from npuface_toolkit.detector.network import DetectorConfig
from npuface_toolkit.detector.targets import Targets, draw_targets
from npuface_toolkit.faces import read_picture

Picture = NDArray[np.uint8]
_COVERED = 0.5
"""Share of a face's box that a picture in front must hide for the face to be gone; a smaller part leaves it unsure."""

_CLOSER = 1.0
"""Logarithm of how much more than needed a background is enlarged at most."""


class _Placed:
    """A part of a picture in the input: pixels, where they are the picture's, and the faces."""

    def __init__(self, pixels: Picture, inside: NDArray[np.bool_], boxes: Floats, sure: NDArray[np.bool_]) -> None:
        self.pixels, self.inside, self.boxes, self.sure = pixels, inside, boxes, sure


class Scenes(Dataset[tuple[Tensor, Targets]]):
    """An epoch of training pictures; `epoch` changes them, and the same number gives the same ones.

    Args:
        pictures: with boxes; read at once and kept.
        shape: of the network.
        how: what is varied, and below which score a face is not sure.
        count: pictures an epoch.
        seed: of the random numbers.
    """

    def __init__(
        self, pictures: list[BoxedPicture], shape: DetectorConfig, how: Augmentation, count: int, seed: int
    ) -> None:
        self._shape, self._how, self._count, self._seed = shape, how, count, seed
        self._levels = [_pyramid(read_picture(picture.file)) for picture in pictures]
        self._boxes = [picture.boxes for picture in pictures]
        self._sure = [picture.scores >= how.sure for picture in pictures]
        self._faces = [(i, k) for i, sure in enumerate(self._sure) for k in np.flatnonzero(sure)]
        fitting = [n for n, levels in enumerate(self._levels) if _fills(levels[0], shape)]
        self._backgrounds = fitting or list(range(len(pictures)))
        self.epoch = 0

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: int) -> tuple[Tensor, Targets]:
        """Picture [H, W, 3] uint8, RGB, and its targets."""
        rng = np.random.default_rng([self._seed, self.epoch, index])
        pixels, boxes, sure = self.scene(rng)
        return torch.from_numpy(np.ascontiguousarray(pixels)), draw_targets(boxes, sure, self._shape.cells)

    def scene(self, rng: np.random.Generator) -> tuple[Picture, Floats, NDArray[np.bool_]]:
        """RGB [H, W, 3], boxes [N, 4] in it, and which of them are sure."""
        front = self._placed(rng)
        if not front.inside.all():
            front = _in_front(front, self._filling(rng))
        pixels = front.pixels
        if rng.random() < self._how.camera:
            pixels = camera_picture(pixels, CameraEffects(), rng)
        return (
            pixels,
            front.boxes,
            front.sure & ((front.boxes[:, 2:] - front.boxes[:, :2]).min(axis=1) >= self._how.least),
        )

    def _placed(self, rng: np.random.Generator) -> _Placed:
        """One face of one picture at a random size and place, and what is around it."""
        number, face = self._faces[rng.integers(len(self._faces))]
        x0, y0, x1, y1 = self._boxes[number][face]
        smallest, largest = self._how.sizes
        size = float(np.exp(rng.uniform(np.log(smallest), np.log(largest))))
        scale = min(size / float(np.sqrt((x1 - x0) * (y1 - y0))), self._how.enlarge)
        height, width = self._shape.height, self._shape.width
        angle = np.deg2rad(rng.uniform(-1, 1) * self._how.rotation) * (rng.random() < 0.5)
        turn = scale * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        if rng.random() < 0.5:
            turn[:, 0] *= -1
        shift = rng.uniform(0.05, 0.95, 2) * (width, height) - turn @ ((x0 + x1) / 2, (y0 + y1) / 2)
        return self._warped(number, np.hstack([turn, shift[:, None]]), scale)

    def _filling(self, rng: np.random.Generator) -> _Placed:
        """A part of a picture that fills the input."""
        number = self._backgrounds[rng.integers(len(self._backgrounds))]
        size, there = np.array([self._shape.width, self._shape.height]), self._levels[number][0].shape[1::-1]
        scale = float((size / there).max() * np.exp(rng.uniform(0.02, _CLOSER)))
        shift = rng.uniform(0, 1, 2) * (size - 1 - scale * (np.array(there) - 1))
        return self._warped(number, np.hstack([scale * np.eye(2), shift[:, None]]), scale)

    def _warped(self, number: int, matrix: NDArray[np.float64], scale: float) -> _Placed:
        height, width = self._shape.height, self._shape.width
        levels = self._levels[number]
        level = min(len(levels) - 1, max(0, int(np.floor(np.log2(1 / scale)))))
        step = 2**level  # a level's pixel c stands at (c + 0.5) * step - 0.5 in the picture
        inner = matrix[:, :2] * step
        offset = matrix[:, 2] + matrix[:, :2] @ np.full(2, (step - 1) / 2)
        part = np.hstack([inner, offset[:, None]])
        pixels = cv2.warpAffine(levels[level], part, (width, height), flags=cv2.INTER_LINEAR)
        ones = np.ones(levels[level].shape[:2], np.uint8)
        inside = cv2.warpAffine(ones, part, (width, height), flags=cv2.INTER_NEAREST) > 0
        boxes = self._boxes[number]
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ matrix[:, :2].T + matrix[:, 2]
        halves = (boxes[:, 2:] - boxes[:, :2]) / 2 * scale
        seen = ((centres > 0) & (centres < (width - 1, height - 1))).all(axis=1)
        placed = np.hstack([centres - halves, centres + halves])[seen].astype(np.float32)
        return _Placed(np.asarray(pixels, np.uint8), np.asarray(inside), placed, self._sure[number][seen])


def _in_front(front: _Placed, behind: _Placed) -> _Placed:
    """One picture before another: faces behind it are gone, or unsure where a part of them is to be seen."""
    pixels = np.where(front.inside[..., None], front.pixels, behind.pixels)
    hidden = np.array([_hidden(front.inside, box) for box in behind.boxes], np.float32)
    left = hidden < _COVERED
    boxes = np.concatenate([front.boxes, behind.boxes[left]])
    sure = np.concatenate([front.sure, (behind.sure & (hidden <= 0))[left]])
    return _Placed(pixels, front.inside | behind.inside, boxes, sure)


def _hidden(inside: NDArray[np.bool_], box: Floats) -> float:
    x0, y0, x1, y1 = np.clip(np.round(box), 0, [inside.shape[1], inside.shape[0]] * 2).astype(int)
    part = inside[y0 : y1 + 1, x0 : x1 + 1]
    return float(part.mean()) if part.size else 0.0


def _fills(picture: Picture, shape: DetectorConfig) -> bool:
    return bool(picture.shape[0] >= shape.height and picture.shape[1] >= shape.width)


def _pyramid(picture: Picture) -> list[Picture]:
    """The picture, and each time half of it by averaging, so that a small scale does not alias."""
    levels = [picture]
    while min(levels[-1].shape[:2]) >= 64:
        height, width = levels[-1].shape[:2]
        even = levels[-1][: height // 2 * 2, : width // 2 * 2]
        levels.append(np.asarray(cv2.resize(even, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA), np.uint8))
    return levels
