"""The host half of every decode form: raw network outputs -> points and confidence, in numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest, TensorInfo

Points = NDArray[np.float32]
Confidence = NDArray[np.float32]
_Finish = Callable[[list[NDArray[np.float32]], Manifest], tuple[Points, Confidence]]


def dequantize(stored: NDArray[np.generic], info: TensorInfo) -> NDArray[np.float32]:
    """Stored values -> real values, float32, by the scale and zero point of the manifest."""
    if info.scale is None or info.zero_point is None:
        return np.asarray(stored, np.float32)
    return (stored.astype(np.float32) - info.zero_point) * np.float32(info.scale)


def _coordinates(outputs: list[NDArray[np.float32]], manifest: Manifest) -> tuple[Points, Confidence]:
    """[2K] coordinates in cells, all x before all y. The form has no confidence: NaN."""
    points = outputs[0].reshape(2, -1).T
    return points, np.full(len(points), np.nan, np.float32)


def _moments(outputs: list[NDArray[np.float32]], manifest: Manifest) -> tuple[Points, Confidence]:
    """[4K]: mass and first moment of the x marginal, then of the y marginal.

    x = (127 X / S_x - offset) / step on the exact INT8 grid. A map without mass has no landmark: its
    point is the middle of the picture and its confidence 0. The confidence is the mass over that of an
    ideal peak, at most 1.
    """
    mass_x, first_x, mass_y, first_y = outputs[0].reshape(4, -1)
    p = manifest.decode.params
    seen = (mass_x > 0) & (mass_y > 0)
    safe_x, safe_y = np.where(seen, mass_x, 1), np.where(seen, mass_y, 1)
    x = (127 * first_x / safe_x - p["offset_x"]) / p["step_x"]
    y = (127 * first_y / safe_y - p["offset_y"]) / p["step_y"]
    x = np.where(seen, x, (manifest.heatmap.width - 1) / 2)
    y = np.where(seen, y, (manifest.heatmap.height - 1) / 2)
    confidence = np.where(seen, np.clip((mass_x + mass_y) / (2 * p["ideal_mass"]), 0, 1), 0)
    return np.stack([x, y], axis=1).astype(np.float32), confidence.astype(np.float32)


def _heatmaps(outputs: list[NDArray[np.float32]], manifest: Manifest) -> tuple[Points, Confidence]:
    """[K, H, W] or [H, W, K] heatmaps: the centre of mass of relu(h - t max h); the confidence is the maximum."""
    maps = outputs[0][0]
    if manifest.outputs[0].layout == "NHWC":
        maps = maps.transpose(2, 0, 1)
    peak = maps.max(axis=(1, 2))
    weights = np.maximum(maps - manifest.decode.params["threshold"] * peak[:, None, None], 0)
    over_rows, over_columns = weights.sum(axis=1), weights.sum(axis=2)
    mass = np.maximum(over_rows.sum(axis=1), 1e-6)
    x = over_rows @ np.arange(maps.shape[2], dtype=np.float32) / mass
    y = over_columns @ np.arange(maps.shape[1], dtype=np.float32) / mass
    return np.stack([x, y], axis=1).astype(np.float32), np.clip(peak, 0, 1).astype(np.float32)


FINISHES: Mapping[str, _Finish] = {"coordinates": _coordinates, "moments": _moments, "heatmaps": _heatmaps}


def finish_decode(manifest: Manifest, outputs: Sequence[NDArray[np.generic]]) -> tuple[Points, Confidence]:
    """Raw network outputs -> (points [K, 2] in network-input pixels, confidence [K] in 0..1).

    Args:
        manifest: of the bundle whose model made the outputs.
        outputs: in the order of manifest.outputs, as the engine returned them (integers or floats).

    Points are float32, x right, y down, pixel centres at integers. A form that has no confidence gives NaN.

    Raises:
        UserError: the manifest names a decode that this runtime lacks, or the outputs do not fit it.
    """
    finish = FINISHES.get(manifest.decode.finish)
    if finish is None:
        raise UserError(
            f"cannot finish the decode {manifest.decode.finish!r}",
            f"this runtime knows {', '.join(FINISHES)}",
            "update the runtime, or export the bundle again",
        )
    real = []
    for stored, info in zip(outputs, manifest.outputs, strict=True):
        if stored.shape != info.shape:
            raise UserError("cannot finish the decode", f"output {info.name!r} has shape {stored.shape}, the manifest says {info.shape}", "run the bundle's own model")
        real.append(dequantize(stored, info))
    cells, confidence = finish(real, manifest)
    return ((cells + 0.5) * manifest.heatmap.stride - 0.5).astype(np.float32), confidence
