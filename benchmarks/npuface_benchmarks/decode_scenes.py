"""Synthetic maps that a decode has to cope with: full and low peaks, narrow and wide, a second peak, none at all."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_export.decode import HeatmapSpec

NOISE = 0.02
"""Half the width of the uniform noise on every cell, over the height of a full peak."""
_MARGIN = 4
"""Cells that a peak stands away from the border, so that no map cuts it off."""
_APART = 12
"""Cells between a peak and the second one, at least."""


@dataclass(frozen=True)
class Scene:
    """One kind of map.

    Attributes:
        name: for tables.
        height: of the peak; 0 for none.
        second: of a second peak elsewhere on the map.
        sigma: of either, in cells.
    """

    name: str
    height: float
    second: float
    sigma: float


SCENES = (
    Scene("full", 1.0, 0.0, 1.5),
    Scene("low", 0.5, 0.0, 1.5),
    Scene("second", 1.0, 0.5, 1.5),
    Scene("none", 0.0, 0.0, 1.5),
    Scene("wide", 1.0, 0.0, 3.0),
    Scene("low and wide", 0.5, 0.0, 3.0),
)


def scene_maps(scene: Scene, spec: HeatmapSpec, faces: int, seed: int) -> tuple[Tensor, NDArray[np.float64]]:
    """What enters the decode of each face, float32 [N, C, H, W] by the spec's kind, and the true points."""
    rng = np.random.default_rng(seed)
    last = np.array([spec.width - 1, spec.height - 1])
    peaks = rng.uniform(_MARGIN, last - _MARGIN, (faces, spec.points, 2))
    angle = rng.uniform(0, 2 * np.pi, (faces, spec.points))
    away = rng.uniform(_APART, 2 * _APART, (faces, spec.points))[..., None]
    others = peaks + away * np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    maps = scene.height * _gaussians(peaks, spec, scene.sigma) + scene.second * _gaussians(others, spec, scene.sigma)
    maps += rng.uniform(-NOISE, NOISE, maps.shape)
    return torch.from_numpy(_of_kind(maps, peaks, spec).astype(np.float32)), peaks


def at_sigma(spec: HeatmapSpec, scene: Scene) -> HeatmapSpec:
    """The spec of a network that was trained to draw such peaks."""
    return replace(spec, sigma=scene.sigma)


def _gaussians(peaks: NDArray[np.float64], spec: HeatmapSpec, sigma: float) -> NDArray[np.float64]:
    y, x = np.mgrid[: spec.height, : spec.width]
    px, py = (peaks[..., axis, None, None] for axis in (0, 1))
    return np.asarray(np.exp(-((x - px) ** 2 + (y - py) ** 2) / (2 * sigma**2)))


def _of_kind(maps: NDArray[np.float64], peaks: NDArray[np.float64], spec: HeatmapSpec) -> NDArray[np.float64]:
    """The same scene as a network of that kind would draw it: offsets to the peak, one cell at most; or two axes."""
    if spec.kind == "heatmap-offset":
        y, x = np.mgrid[: spec.height, : spec.width]
        offsets = (np.clip(peaks[..., axis, None, None] - place, -1, 1) for axis, place in ((0, x), (1, y)))
        return np.concatenate([maps, *offsets], axis=1)
    if spec.kind == "simcc":
        return np.concatenate([maps.max(axis=2), maps.max(axis=3)], axis=2)[:, :, None]
    return maps
