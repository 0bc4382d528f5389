"""Coordinate shift: how far quantization moves the landmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.engines import open_session
from npuface_runtime.finish import finish_decode
from npuface_runtime.manifest import Manifest
from npuface_runtime.preprocess import normalise


def cells_on(
    manifest: Manifest, files: Mapping[str, Path], pictures: Sequence[NDArray[np.float32]]
) -> NDArray[np.float32]:
    """Landmarks [N, K, 2] in heatmap cells that a model gives on pictures RGB [H, W, 3] in 0..255."""
    with open_session(manifest.engine, files, 1) as session:
        return cells_of(manifest, [session.run(normalise(picture, manifest)) for picture in pictures])


def cells_of(manifest: Manifest, outputs: Sequence[Sequence[NDArray[Any]]]) -> NDArray[np.float32]:
    """Landmarks [N, K, 2] in heatmap cells of what a model gave for N pictures."""
    return manifest.heatmap.to_cells(np.stack([finish_decode(manifest, given)[0] for given in outputs]))


def coordinate_shift(exact: NDArray[np.float32], quantized: NDArray[np.float32]) -> dict[str, float]:
    """Distances between landmarks [N, K, 2] in heatmap cells: their mean and maximum, and the number of faces N."""
    distances = np.linalg.norm(quantized - exact, axis=2)
    return {"mean_px": float(distances.mean()), "max_px": float(distances.max()), "faces": len(distances)}
