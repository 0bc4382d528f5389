"""The host half of every decode form: raw network outputs -> points and confidence, in numpy."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.manifest import Manifest, TensorInfo

Points = NDArray[np.float32]
Confidence = NDArray[np.float32]


@dataclass(frozen=True)
class Finish:
    """One host half.

    Attributes:
        values: how many numbers the network's only output holds, for a given manifest.
        params: the names that it reads from manifest.decode.params.
        divisors: those among them that must be positive.
        run: the output as real numbers -> points [K, 2] in heatmap cells, confidence [K] in 0..1 or NaN.
    """

    values: Callable[[Manifest], int]
    params: tuple[str, ...]
    divisors: tuple[str, ...]
    run: Callable[[NDArray[np.float32], Manifest], tuple[Points, Confidence]]


def dequantize(stored: NDArray[np.generic], info: TensorInfo) -> NDArray[np.float32]:
    """Stored values -> real values, float32, by the scale and zero point of the manifest."""
    if info.scale is None or info.zero_point is None:
        return np.asarray(stored, np.float32)
    return (stored.astype(np.float32) - info.zero_point) * np.float32(info.scale)


def _coordinates(output: NDArray[np.float32], manifest: Manifest) -> tuple[Points, Confidence]:
    """[2K] coordinates in cells, all x before all y. The form has no confidence: NaN."""
    points = output.reshape(2, -1).T
    return points, np.full(len(points), np.nan, np.float32)


def _moments(output: NDArray[np.float32], manifest: Manifest) -> tuple[Points, Confidence]:
    """[4K]: mass and first moment of the x marginal, then of the y marginal.

    x = (127 X / S_x - offset) / step on the exact INT8 grid, kept on the grid because rounding can carry
    a small mass off it. A map without mass has no landmark: its point is the middle of the picture and
    its confidence 0. The confidence is the mass over that of an ideal peak, at most 1.
    """
    mass_x, first_x, mass_y, first_y = output.reshape(4, -1)
    p, maps = manifest.decode.params, manifest.heatmap
    seen = (mass_x > 0) & (mass_y > 0)
    x = (127 * first_x / np.where(seen, mass_x, 1) - p["offset_x"]) / p["step_x"]
    y = (127 * first_y / np.where(seen, mass_y, 1) - p["offset_y"]) / p["step_y"]
    confidence = np.clip((mass_x + mass_y) / (2 * p["ideal_mass"]), 0, 1)
    points = np.clip(np.stack([x, y], axis=1), 0, (maps.width - 1, maps.height - 1))
    return _where_seen(seen, points, manifest), np.where(seen, confidence, 0)


def _heatmaps(output: NDArray[np.float32], manifest: Manifest) -> tuple[Points, Confidence]:
    """[1, K, H, W] or [1, H, W, K]: the centre of mass of relu(h - t max h); the confidence is the maximum, 0..1.

    A map without a positive cell has no landmark: its point is the middle of the picture.
    """
    k, h, w = manifest.landmarks.points, manifest.heatmap.height, manifest.heatmap.width
    is_nchw = manifest.outputs[0].layout == "NCHW"
    maps = output.reshape(k, h, w) if is_nchw else output.reshape(h, w, k).transpose(2, 0, 1)
    peak = maps.max(axis=(1, 2))
    weights = np.maximum(maps - manifest.decode.params["threshold"] * peak[:, None, None], 0)
    over_rows, over_columns = weights.sum(axis=1), weights.sum(axis=2)
    mass = over_rows.sum(axis=1)
    seen = (peak > 0) & (mass > 0)
    safe = np.where(seen, mass, 1)
    x = over_rows @ np.arange(w, dtype=np.float32) / safe
    y = over_columns @ np.arange(h, dtype=np.float32) / safe
    return _where_seen(seen, np.stack([x, y], axis=1), manifest), np.clip(peak, 0, 1)


def _where_seen(seen: NDArray[np.bool_], points: NDArray[np.floating], manifest: Manifest) -> Points:
    """The points, with the middle of the heatmap in place of those that were not seen."""
    middle = ((manifest.heatmap.width - 1) / 2, (manifest.heatmap.height - 1) / 2)
    return np.where(seen[:, None], points, middle).astype(np.float32)


def _heatmap_cells(manifest: Manifest) -> int:
    return manifest.landmarks.points * manifest.heatmap.height * manifest.heatmap.width


FINISHES: Mapping[str, Finish] = {
    "coordinates": Finish(lambda m: 2 * m.landmarks.points, (), (), _coordinates),
    "moments": Finish(
        lambda m: 4 * m.landmarks.points,
        ("offset_x", "offset_y", "step_x", "step_y", "ideal_mass"),
        ("step_x", "step_y", "ideal_mass"),
        _moments,
    ),
    "heatmaps": Finish(_heatmap_cells, ("threshold",), (), _heatmaps),
}


def finish_of(manifest: Manifest) -> Finish:
    """The host half that a manifest asks for.

    Raises:
        UserError: this runtime lacks it, or the manifest does not give what it needs.
    """
    name, decode = manifest.decode.finish, manifest.decode
    finish = FINISHES.get(name)
    if finish is None:
        raise UserError(
            f"cannot finish the decode {name!r}",
            f"this runtime knows {', '.join(FINISHES)}",
            "update the runtime, or export the bundle again",
        )
    params, shapes = decode.params, [info.shape for info in manifest.outputs]
    why = None
    if missing := [param for param in finish.params if param not in params]:
        why = f"the manifest does not give {', '.join(missing)}"
    elif bad := [param for param in finish.divisors if params[param] <= 0]:
        why = f"{', '.join(bad)} must be positive"
    elif len(shapes) != 1 or math.prod(shapes[0]) != finish.values(manifest):
        why = f"it takes one output of {finish.values(manifest)} numbers, the manifest says {shapes}"
    if why:
        raise UserError(f"cannot finish the decode {name!r}", why, "export the bundle again")
    return finish


def finish_decode(manifest: Manifest, outputs: Sequence[NDArray[np.generic]]) -> tuple[Points, Confidence]:
    """Raw network outputs -> (points [K, 2] in network-input pixels, confidence [K] in 0..1).

    Args:
        manifest: of the bundle whose model made the outputs.
        outputs: in the order of manifest.outputs, as the engine returned them (integers or floats).

    Points are float32, x right, y down, pixel centres at integers. A form that has no confidence gives NaN.

    Raises:
        UserError: the manifest names a decode that this runtime lacks, the outputs do not fit it, or
            they are not finite.
    """
    finish = finish_of(manifest)
    info = manifest.outputs[0]
    given = [(output.shape, output.dtype.name) for output in outputs]
    if given != [(info.shape, info.dtype)]:
        raise UserError(
            "cannot finish the decode",
            f"the outputs are {given}, the manifest says {info.shape} of {info.dtype}",
            "run the bundle's own model",
        )
    real = dequantize(outputs[0], info)
    if not np.isfinite(real).all():
        raise UserError(
            "cannot finish the decode",
            "the network returned values that are not finite",
            "check that the engine runs the model in a precision that holds it",
        )
    cells, confidence = finish.run(real, manifest)
    return ((cells + 0.5) * manifest.heatmap.stride - 0.5).astype(np.float32), confidence.astype(np.float32)
