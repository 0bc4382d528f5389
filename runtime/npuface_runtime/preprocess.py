"""From a frame to the array that enters the network: crop, normalise, quantize, layout. Numpy alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from npuface_runtime.bundle_manifest import TensorInfo
from npuface_runtime.geometry import Crop
from npuface_runtime.manifest import Manifest
from npuface_runtime.sampling import FloatArray, sample_crop
from npuface_runtime.scratch import Scratch

_NO_MEAN, _UNIT = (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)
_BYTES = {"uint8": 0, "int8": -128}
"""Types that hold a pixel, and the zero point with which they hold each of its 256 values."""


def prepare(frame: NDArray[np.uint8], crop: Crop, manifest: Manifest, scratch: Scratch | None = None) -> NDArray[Any]:
    """Cut a face out of a frame as the network wants it.

    Args:
        frame: RGB uint8 [H, W, 3].
        crop: the face's region in frame pixels; what lies outside the frame is black.
        manifest: of the bundle that will take the result.
        scratch: memory to work in; the result lies in it too. Without it, memory of its own.

    Returns:
        The network's input with its batch dimension, in the manifest's layout and type: (rgb - mean) / std,
        divided by the scale, rounded and shifted by the zero point where the input is quantized.
    """
    scratch = scratch or Scratch()
    return normalise(sample_crop(frame, crop, manifest.input_shape, scratch), manifest, scratch)


def normalise(picture: FloatArray, manifest: Manifest, scratch: Scratch | None = None) -> NDArray[Any]:
    """RGB [H, W, 3], 0..255 -> the network's input; see `prepare`."""
    return normalised(picture, manifest.input, manifest.preprocess.mean, manifest.preprocess.std, scratch)


def normalised(
    picture: FloatArray,
    info: TensorInfo,
    mean: Sequence[float],
    std: Sequence[float],
    scratch: Scratch | None = None,
) -> NDArray[Any]:
    """RGB [H, W, 3], 0..255 -> what enters a network whose input is `info`: (rgb - mean) / std, quantized where it is.

    One multiplication and addition a value.
    """
    scratch = scratch or Scratch()
    if (tuple(mean), tuple(std), info.scale) == (_NO_MEAN, _UNIT, 1.0) and _BYTES.get(info.dtype) == info.zero_point:
        return _as_bytes(picture, info, scratch)
    scale, zero = (1.0, 0) if info.scale is None or info.zero_point is None else (info.scale, info.zero_point)
    gain = 1 / (np.asarray(std) * scale)
    shift = zero - np.asarray(mean) * gain
    kind = np.dtype(info.dtype)
    planes: FloatArray = scratch.array("planes", info.shape)
    for channel in range(3):
        plane = planes[0, channel] if info.layout == "NCHW" else planes[0, :, :, channel]
        np.multiply(picture[:, :, channel], np.float32(gain[channel]), out=plane)
        plane += np.float32(shift[channel])
    if kind == np.float32:
        return planes
    if info.scale is not None:
        limits = np.iinfo(kind)
        np.rint(planes, out=planes)
        np.clip(planes, limits.min, limits.max, out=planes)
    entering = scratch.array("entering", info.shape, kind)
    np.copyto(entering, planes, casting="unsafe")
    return entering


def _as_bytes(picture: FloatArray, info: TensorInfo, scratch: Scratch) -> NDArray[Any]:
    """RGB [H, W, 3], 0..255 -> its bytes in the layout of `info`; less 128 where they are signed."""
    entering = scratch.array("entering", info.shape, np.uint8)
    pixels = entering[0].transpose(1, 2, 0) if info.layout == "NCHW" else entering[0]
    rounded: FloatArray = scratch.array("rounded", picture.shape)
    np.copyto(pixels, np.rint(picture, out=rounded), casting="unsafe")
    if info.dtype == "uint8":
        return entering
    entering ^= 0x80
    return entering.view(np.int8)
