"""Float parity: what the engine and the runtime make of a picture, against the torch network and its decode."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from npuface_export.decode import DecodeForm
from npuface_export.network import Network
from npuface_export.photograph import face_crops
from npuface_runtime.engines import open_session
from npuface_runtime.errors import UserError
from npuface_runtime.finish import finish_decode
from npuface_runtime.manifest import Manifest
from npuface_runtime.preprocess import normalise

TOLERANCE = 1e-3
"""Largest difference of a coordinate, in heatmap cells."""
_NOISES = 2
_CLEAR = 0.1
"""Maps whose maximum is under this share of the largest heatmap value show no landmark: rounding decides there."""


def measure_parity(network: Network, form: DecodeForm, manifest: Manifest, files: Mapping[str, Path]) -> float:
    """Largest difference of a coordinate between torch and the engine, in heatmap cells.

    The decode in torch runs in float32 and in float64, and the nearer of both counts: a long float32 sum depends on its
    order, and an engine that sums in another one may be nearer to the exact result than torch's own float32.
    Measured on noise and on a real face (scikit-image's public-domain astronaut, upright and turned), over
    the landmarks that the network sees.

    Raises:
        UserError: it is over TOLERANCE, or the network sees no landmark at all.
    """
    differences: dict[torch.dtype, list[NDArray[np.float32]]] = {torch.float32: [], torch.float64: []}
    with open_session(manifest.engine, files, 1) as session:
        for picture in _pictures(network):
            entered = normalise(picture, manifest)
            found, _ = finish_decode(manifest, session.run(entered))
            with torch.no_grad():
                heatmaps = network.module(torch.from_numpy(as_nchw(entered, manifest.input.layout)))
            clear = _clear(heatmaps[0, : network.points])
            for dtype, kept in differences.items():
                expected = _torch_points(network, form, manifest, heatmaps.to(dtype))
                kept.append((np.abs(found - expected)[clear] / network.cell_scale).ravel())
    compared = [np.concatenate(kept) for kept in differences.values()]
    if not compared[0].size:
        raise UserError(f"cannot export {network.name}", "it draws no peak in any heatmap", "train the network first")
    worst = min(float(kept.max()) for kept in compared)
    if not worst <= TOLERANCE:
        raise UserError(
            f"the {manifest.engine} model does not give torch's coordinates",
            f"they differ by {worst:.1e} heatmap px, over {TOLERANCE:.0e}",
            "use other versions of the converter's tools, or another decode form",
        )
    return worst


def as_nchw(picture: NDArray[np.float32], layout: str) -> NDArray[np.float32]:
    """A float network input in NCHW."""
    return picture if layout == "NCHW" else np.ascontiguousarray(picture.transpose(0, 3, 1, 2))


def _torch_points(network: Network, form: DecodeForm, manifest: Manifest, heatmaps: Tensor) -> NDArray[np.float32]:
    """Points [K, 2] in network-input pixels of the decode that was converted, in the type of the heatmaps, finished by
    the runtime.
    """
    with torch.no_grad():
        decoded = form.build(network.spec).eval().to(heatmaps.dtype)(heatmaps).float().numpy()
    if manifest.outputs[0].layout == "NHWC":
        decoded = decoded.transpose(0, 2, 3, 1)
    return finish_decode(manifest, [decoded])[0]


def _clear(maps: Tensor) -> NDArray[np.bool_]:
    """Which of the maps [K, H, W] show a clear peak [K]."""
    return np.asarray((maps.amax(dim=(1, 2)) >= _CLEAR * maps.abs().max()).numpy())


def _pictures(network: Network) -> list[NDArray[np.float32]]:
    """RGB pictures [H, W, 3], 0..255."""
    rng = np.random.default_rng(0)
    height, width = network.input_shape
    noises = [rng.integers(0, 256, (height, width, 3)).astype(np.float32) for _ in range(_NOISES)]
    return noises + face_crops(network.input_shape, network.margin)
