"""Finish a decode on the host: raw network outputs -> points and confidence, in numpy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.errors import UserError
from npuface_runtime.host_halves import HOST_HALVES, HostHalf, Maps
from npuface_runtime.manifest import Manifest, TensorInfo

Points = NDArray[np.float32]
Confidence = NDArray[np.float32]


def dequantize(stored: NDArray[np.generic], info: TensorInfo) -> NDArray[np.float32]:
    """Stored values -> real values, float32, by the scale and zero point of the manifest."""
    if info.scale is None or info.zero_point is None:
        return np.asarray(stored, np.float32)
    return (stored.astype(np.float32) - info.zero_point) * np.float32(info.scale)


def finish_of(manifest: Manifest) -> HostHalf:
    """The host half that a manifest asks for.

    Raises:
        UserError: this runtime lacks it, or the manifest does not give what it needs.
    """
    name, decode = manifest.decode.finish, manifest.decode
    finish = HOST_HALVES.get(name)
    if finish is None:
        raise UserError(
            f"cannot finish the decode {name!r}",
            f"this runtime knows {', '.join(HOST_HALVES)}",
            "update the runtime, or export the bundle again",
        )
    params, shapes = decode.params, [info.shape for info in manifest.outputs]
    count = finish.values(_maps(manifest), params)
    why = None
    if missing := [param for param in finish.params if param not in params]:
        why = f"the manifest does not give {', '.join(missing)}"
    elif bad := [param for param in finish.divisors if params[param] <= 0]:
        why = f"{', '.join(bad)} must be positive"
    elif len(shapes) != 1 or math.prod(shapes[0]) != count:
        why = f"it takes one output of {count} numbers, the manifest says {shapes}"
    if why:
        raise UserError(f"cannot finish the decode {name!r}", why, "export the bundle again")
    return finish


def _maps(manifest: Manifest) -> Maps:
    return Maps(manifest.landmarks.points, manifest.heatmap.height, manifest.heatmap.width)


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
    if info.layout == "NHWC" and real.ndim == 4:
        real = real.transpose(0, 3, 1, 2)
    cells, confidence = finish.run(real, _maps(manifest), manifest.decode.params)
    return manifest.heatmap.to_pixels(cells), confidence.astype(np.float32)
