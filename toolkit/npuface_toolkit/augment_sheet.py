"""A contact sheet of what training shows the network: varied pictures with points, boundary curves and heatmaps."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from npuface_toolkit.faces import Face
from npuface_toolkit.heatmaps import landmark_heatmaps
from npuface_toolkit.samples import FaceSamples, Sample
from npuface_toolkit.schemes import Scheme
from npuface_toolkit.student import STRIDE
from npuface_toolkit.training_config import TrainingConfig

_KNOWN, _UNKNOWN = (0, 255, 0), (255, 60, 60)


def augment_sheet(
    faces: Sequence[Face], scheme: Scheme, config: TrainingConfig, count: int, columns: int, seed: int
) -> NDArray[np.uint8]:
    """`count` faces, chosen by the seed, varied as the last stage of training does, `columns` in a row; RGB.

    Each is three pictures side by side: with its points (red where they are less than half known), under its boundary
    heatmaps, under its landmark heatmaps (each the maximum over the maps).
    """
    rng, size = np.random.default_rng(seed), config.stages[-1].input_size
    chosen = [faces[i] for i in rng.choice(len(faces), count, replace=count > len(faces))]
    how = config.augmentation
    samples = FaceSamples(chosen, scheme, size, how, train=True, sigma=config.sigma, seed=config.seed)
    tiles = [_tile(samples[i], config.sigma) for i in range(count)]
    tiles += [np.zeros_like(tiles[0])] * (-count % columns)
    rows = [np.concatenate(tiles[start : start + columns], axis=1) for start in range(0, len(tiles), columns)]
    return np.concatenate(rows, axis=0)


def _tile(sample: Sample, sigma: float) -> NDArray[np.uint8]:
    picture = sample.picture.numpy()
    dotted = picture.copy()
    for (x, y), weight in zip((sample.points.numpy() + 0.5) * STRIDE - 0.5, sample.weights.numpy(), strict=True):
        colour = _KNOWN if weight >= 0.5 else _UNKNOWN
        cv2.circle(dotted, (round(float(x)), round(float(y))), max(1, len(picture) // 128), colour, -1, cv2.LINE_AA)
    heatmaps = landmark_heatmaps(sample.points[None], sample.edges.shape[-1], sigma)[0]
    return np.concatenate([dotted, _under(picture, sample.edges), _under(picture, heatmaps)], axis=1)


def _under(picture: NDArray[np.uint8], maps: torch.Tensor) -> NDArray[np.uint8]:
    """The picture, dimmed, with the maximum over maps [C, H, W] in yellow."""
    level = cv2.resize(maps.amax(dim=0).numpy(), picture.shape[1::-1], interpolation=cv2.INTER_NEAREST)[..., None]
    return np.asarray(picture * 0.4 * (1 - level) + np.array([255, 220, 0]) * level, np.uint8)
